//! Handlers of all types behind one trait, for the table of a subscription.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Context, Handler, HandlerResult, RawHandler, Requirement};
use crate::codec::AnyCodec;
use crate::envelope;
use crate::error::{Error, ErrorKind, Result as BusResult};
use crate::event::IntegrationEvent;
use crate::message::Message;

/// The message cannot be read as the event that its handler takes.
#[derive(Debug)]
pub(crate) struct Undecodable(pub(crate) Error);

/// A handler whose event type is a value.
pub(crate) trait ErasedHandler: Send + Sync {
    fn name(&self) -> &'static str;

    /// `None` takes messages of any type, tombstones included.
    fn event_type(&self) -> Option<&'static str>;

    fn topic(&self) -> Arc<str>;

    fn requirements(&self) -> Vec<Requirement>;

    /// Decodes and begins to handle. Each attempt decodes anew, so events need no `Clone`. Fails for content types and
    /// versions that it does not take.
    fn handle(&self, cx: &Context<'_>) -> Result<BoxFuture<'static, HandlerResult>, Undecodable>;
}

pub(crate) fn erase<Args: 'static, H: Handler<Args>>(handler: H) -> Arc<dyn ErasedHandler> {
    Arc::new(Erased { handler, args: PhantomData::<fn(Args)> })
}

pub(crate) fn erase_raw<Args: 'static, H: RawHandler<Args>>(topic: Arc<str>, handler: H) -> Arc<dyn ErasedHandler> {
    Arc::new(ErasedRaw { topic, handler, args: PhantomData::<fn(Args)> })
}

struct Erased<H, Args> {
    handler: H,
    args: PhantomData<fn(Args)>,
}

impl<Args: 'static, H: Handler<Args>> ErasedHandler for Erased<H, Args> {
    fn name(&self) -> &'static str {
        std::any::type_name::<H>()
    }

    fn event_type(&self) -> Option<&'static str> {
        Some(H::Event::TYPE)
    }

    fn topic(&self) -> Arc<str> {
        H::Event::topic()
    }

    fn requirements(&self) -> Vec<Requirement> {
        H::requirements()
    }

    fn handle(&self, cx: &Context<'_>) -> Result<BoxFuture<'static, HandlerResult>, Undecodable> {
        let event = decode(cx.message).map_err(Undecodable)?;
        Ok(self.handler.call(event, cx))
    }
}

pub(crate) fn decode<E: IntegrationEvent>(message: &Message) -> BusResult<E> {
    let version = envelope::version(message)?;
    envelope::check_content_type(message, AnyCodec::JSON.content_type())?;
    if version != E::VERSION {
        let known = E::VERSION;
        let problem = format!("version {version} of `{}` is not supported, the handler takes {known}", E::TYPE);
        return Err(Error::new(ErrorKind::Decode, problem));
    }
    AnyCodec::JSON.decode(message.payload.as_deref().unwrap_or_default())
}

struct ErasedRaw<H, Args> {
    topic: Arc<str>,
    handler: H,
    args: PhantomData<fn(Args)>,
}

impl<Args: 'static, H: RawHandler<Args>> ErasedHandler for ErasedRaw<H, Args> {
    fn name(&self) -> &'static str {
        std::any::type_name::<H>()
    }

    fn event_type(&self) -> Option<&'static str> {
        None
    }

    fn topic(&self) -> Arc<str> {
        Arc::clone(&self.topic)
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
            None => write!(f, "{} for all of {}", self.name(), self.topic()),
        }
    }
}
