//! Events out of messages that no handler of this bus was given: dead letters, what was published, what a reader of its own
//! got.

use crate::bus::Bus;
use crate::envelope;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::event::{EventMeta, IntegrationEvent};
use crate::handler::decode;
use crate::message::{Message, Origin};

impl Bus {
    /// The event in `message`, as a handler of this bus would get it, with what is known of it; `origin` stands in for an
    /// id that is not given.
    ///
    /// # Errors
    ///
    /// [`Decode`](ErrorKind::Decode) where it is of another type or cannot be read; never quoting the payload.
    pub fn read<E: IntegrationEvent>(&self, message: &Message, origin: &Origin) -> Result<(E, EventMeta)> {
        let meta = envelope::read(message, origin, E::TYPE);
        if meta.event_type != E::TYPE {
            let problem = format!("the message is of type `{}`, not `{}`", shown(&meta.event_type), E::TYPE);
            return Err(Error::new(ErrorKind::Decode, problem));
        }
        Ok((decode(message)?, meta))
    }
}
