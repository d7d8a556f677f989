//! Handlers of all types behind one trait, for the table of a subscription.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Context, Handler, HandlerResult, Requirement, StateMap};
use crate::bus::Publish;
use crate::codec;
use crate::envelope;
use crate::error::{Error, ErrorKind};
use crate::event::{EventMeta, IntegrationEvent};
use crate::message::{Message, Origin};

/// The message cannot be read as the event that its handler takes.
#[derive(Debug)]
pub(crate) struct Undecodable(pub(crate) Error);

/// A handler whose event type is a value.
pub(crate) trait ErasedHandler: Send + Sync {
    fn name(&self) -> &'static str;
    fn event_type(&self) -> &'static str;
    fn topic(&self) -> Arc<str>;
    fn requirements(&self) -> Vec<Requirement>;

    /// What `message` says of itself; fails for content types and versions that this handler does not take.
    fn meta(&self, message: &Message, origin: &Origin) -> Result<Arc<EventMeta>, Undecodable>;

    /// Decodes and begins to handle. Each attempt decodes anew, so events need no `Clone`.
    fn handle(&self, call: &Call<'_>) -> Result<BoxFuture<'static, HandlerResult>, Undecodable>;
}

/// One attempt.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) meta: &'a Arc<EventMeta>,
    pub(crate) message: &'a Message,
    pub(crate) origin: &'a Origin,
    pub(crate) attempt: u32,
    pub(crate) states: &'a StateMap,
    pub(crate) publish: &'a Publish,
}

pub(crate) fn erase<Args: 'static, H: Handler<Args>>(handler: H) -> Arc<dyn ErasedHandler> {
    Arc::new(Erased { handler, args: PhantomData::<fn(Args)> })
}

struct Erased<H, Args> {
    handler: H,
    args: PhantomData<fn(Args)>,
}

impl<Args: 'static, H: Handler<Args>> ErasedHandler for Erased<H, Args> {
    fn name(&self) -> &'static str {
        std::any::type_name::<H>()
    }

    fn event_type(&self) -> &'static str {
        H::Event::TYPE
    }

    fn topic(&self) -> Arc<str> {
        H::Event::topic()
    }

    fn requirements(&self) -> Vec<Requirement> {
        H::requirements()
    }

    fn meta(&self, message: &Message, origin: &Origin) -> Result<Arc<EventMeta>, Undecodable> {
        let meta = envelope::read(message, origin, H::Event::TYPE).map_err(Undecodable)?;
        envelope::check_content_type(message, codec::JSON).map_err(Undecodable)?;
        if meta.version == H::Event::VERSION {
            return Ok(Arc::new(meta));
        }
        let (given, known) = (meta.version, H::Event::VERSION);
        let problem = format!("version {given} of `{}` is not supported, the handler takes {known}", H::Event::TYPE);
        Err(Undecodable(Error::new(ErrorKind::Decode, problem)))
    }

    fn handle(&self, call: &Call<'_>) -> Result<BoxFuture<'static, HandlerResult>, Undecodable> {
        let payload = call.message.payload.as_deref().unwrap_or_default();
        let event = codec::decode_json(payload).map_err(Undecodable)?;
        let Call { meta, message, origin, attempt, states, publish } = *call;
        Ok(self.handler.call(event, &Context { meta, message, origin, attempt, states, publish }))
    }
}

impl fmt::Debug for dyn ErasedHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for `{}`", self.name(), self.event_type())
    }
}
