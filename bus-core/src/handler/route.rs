//! Handlers of all types behind one trait, for the table of a subscription.

use std::any::{TypeId, type_name};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Content, Context, Handler, HandlerResult, RawHandler, Requirement};
use crate::bus::TopicFormat;
use crate::codec::Encoded;
use crate::error::{Error, ErrorKind, Result as BusResult};
use crate::event::IntegrationEvent;
use crate::routing::TopicNaming;

/// The message cannot be read as the event that its handler takes.
#[derive(Debug)]
pub(crate) struct Undecodable(pub(crate) Error);

/// The event that a handler takes, as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Its name on the wire.
    pub(crate) event_type: &'static str,
    /// Its Rust type.
    pub(crate) id: TypeId,
    /// What that is called.
    pub(crate) name: &'static str,
    pub(crate) version: u32,
    /// The lowest and the highest that it is read from.
    pub(crate) accepts: (u32, u32),
}

/// A handler whose event type is a value.
pub(crate) trait ErasedHandler: Send + Sync {
    fn name(&self) -> &'static str;

    /// The same for the same function; `None` where two values of one type need not do the same.
    fn identity(&self) -> Option<TypeId>;

    /// `None` takes messages of any type, tombstones included.
    fn takes(&self) -> Option<Taken>;

    /// The topic of the event that it takes.
    fn topic(&self, naming: &TopicNaming) -> BusResult<Arc<str>>;

    fn requirements(&self) -> Vec<Requirement>;

    /// Decodes and begins to handle. Each attempt decodes anew, so events need no `Clone`. Fails for content types and
    /// versions that it does not take.
    fn handle(&self, cx: &Context<'_>) -> Result<BoxFuture<'static, HandlerResult>, Undecodable>;

    fn event_type(&self) -> Option<&'static str> {
        self.takes().map(|taken| taken.event_type)
    }
}

pub(crate) fn erase<Args: 'static, H: Handler<Args>>(handler: H) -> Arc<dyn ErasedHandler> {
    Arc::new(Erased { handler, args: PhantomData::<fn(Args)> })
}

pub(crate) fn erase_raw<Args: 'static, H: RawHandler<Args>>(handler: H) -> Arc<dyn ErasedHandler> {
    Arc::new(ErasedRaw { handler, args: PhantomData::<fn(Args)> })
}

/// Functions and closures that hold nothing are what their type is.
fn identity_of<H: 'static>() -> Option<TypeId> {
    (size_of::<H>() == 0).then(TypeId::of::<H>)
}

struct Erased<H, Args> {
    handler: H,
    args: PhantomData<fn(Args)>,
}

impl<Args: 'static, H: Handler<Args>> ErasedHandler for Erased<H, Args> {
    fn name(&self) -> &'static str {
        type_name::<H>()
    }

    fn identity(&self) -> Option<TypeId> {
        identity_of::<H>()
    }

    fn takes(&self) -> Option<Taken> {
        Some(Taken {
            event_type: H::Event::TYPE,
            id: TypeId::of::<H::Event>(),
            name: type_name::<H::Event>(),
            version: H::Event::VERSION,
            accepts: (*H::Event::ACCEPTS.start(), *H::Event::ACCEPTS.end()),
        })
    }

    fn topic(&self, naming: &TopicNaming) -> BusResult<Arc<str>> {
        naming.of::<H::Event>()
    }

    fn requirements(&self) -> Vec<Requirement> {
        H::requirements()
    }

    fn handle(&self, cx: &Context<'_>) -> Result<BoxFuture<'static, HandlerResult>, Undecodable> {
        let event = cx.received.content().and_then(|content| decode(&content, cx.format)).map_err(Undecodable)?;
        Ok(self.handler.call(event, cx))
    }
}

/// The event in a message, by what that says of its codec and its version, or by what its topic and its type say.
pub(crate) fn decode<E: IntegrationEvent>(content: &Content<'_>, format: &TopicFormat) -> BusResult<E> {
    let version = content.version.unwrap_or(E::VERSION);
    let encoded = Encoded::new(format.codec_for(content.content_type)?, content.data);
    if version == E::VERSION {
        encoded.decode()
    } else if E::ACCEPTS.contains(&version) {
        E::upcast(version, encoded)
    } else {
        Err(unsupported::<E>(version))
    }
}

fn unsupported<E: IntegrationEvent>(version: u32) -> Error {
    let (lowest, highest) = (*E::ACCEPTS.start(), *E::ACCEPTS.end());
    let known = if lowest == highest { lowest.to_string() } else { format!("{lowest} to {highest}") };
    let problem = format!("version {version} of `{}` is not supported, the handler takes {known}", E::TYPE);
    Error::new(ErrorKind::Decode, problem)
        .help("let the event accept it: `ACCEPTS`, and `upcast` where its fields differ")
}

struct ErasedRaw<H, Args> {
    handler: H,
    args: PhantomData<fn(Args)>,
}

impl<Args: 'static, H: RawHandler<Args>> ErasedHandler for ErasedRaw<H, Args> {
    fn name(&self) -> &'static str {
        type_name::<H>()
    }

    fn identity(&self) -> Option<TypeId> {
        identity_of::<H>()
    }

    fn takes(&self) -> Option<Taken> {
        None
    }

    fn topic(&self, _: &TopicNaming) -> BusResult<Arc<str>> {
        Err(Error::new(ErrorKind::Config, format!("{} takes messages of any type: it needs a topic", self.name())))
    }

    fn requirements(&self) -> Vec<Requirement> {
        H::requirements()
    }

    fn handle(&self, cx: &Context<'_>) -> Result<BoxFuture<'static, HandlerResult>, Undecodable> {
        Ok(self.handler.call(cx))
    }
}

impl fmt::Debug for dyn ErasedHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event_type() {
            Some(event_type) => write!(f, "{} for `{event_type}`", self.name()),
            None => write!(f, "{} for messages of any type", self.name()),
        }
    }
}
