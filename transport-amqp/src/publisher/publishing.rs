//! One publish, as lapin does it, in memory that is used again. Its future is large: for each message allocated and freed it
//! would be what costs most of ours.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use gulo_bus_core::message::Message;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, PublisherConfirm};

/// All that lapin is told of a message.
pub(super) struct Prepared {
    pub(super) channel: Arc<Channel>,
    pub(super) exchange: ShortString,
    pub(super) key: ShortString,
    pub(super) properties: BasicProperties,
    /// Where its payload is.
    pub(super) messages: Arc<Vec<Message>>,
    pub(super) index: usize,
}

/// Room for a publish, and the publish in it.
pub(super) type Publishing<C> = Box<dyn Place<C>>;

pub(super) trait Place<C>: Send {
    fn begin(&mut self, prepared: Prepared);

    /// Ready when it is written, with its confirm. After that, and before a [`begin`](Self::begin), never.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<lapin::Result<C>>;
}

pub(super) fn room() -> Publishing<PublisherConfirm> {
    Box::new(Room { publish, future: Box::pin(None) })
}

struct Room<F, P> {
    publish: P,
    future: Pin<Box<Option<F>>>,
}

impl<F, P> Place<PublisherConfirm> for Room<F, P>
where
    F: Future<Output = lapin::Result<PublisherConfirm>> + Send,
    P: Fn(Prepared) -> F + Send,
{
    fn begin(&mut self, prepared: Prepared) {
        self.future.set(Some((self.publish)(prepared)));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<lapin::Result<PublisherConfirm>> {
        let Some(future) = self.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let written = future.poll(cx);
        if written.is_ready() {
            self.future.set(None);
        }
        written
    }
}

async fn publish(prepared: Prepared) -> lapin::Result<PublisherConfirm> {
    let Prepared { channel, exchange, key, properties, messages, index } = prepared;
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let payload = messages[index].payload.as_deref().unwrap_or_default();
    channel.basic_publish(exchange, key, options, payload, properties).await
}
