//! Where a lane's messages come from: first, one by one, what its topic kept while no group read it; then the group's queue.

use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::BasicGetOptions;
use lapin::types::ShortString;
use lapin::{Channel, Consumer};

use super::Failure;
use super::opening;

/// In this order, so that delivery tags count what is handed out, without holes.
pub(crate) enum Feed {
    /// Of what was kept, the next one.
    Getting { kept: ShortString, queue: ShortString, next: BoxFuture<'static, lapin::Result<Option<BasicGetMessage>>> },
    /// Nothing is kept any more.
    Starting { kept: ShortString, starting: BoxFuture<'static, lapin::Result<Consumer>> },
    Consuming {
        /// What was read before.
        kept: Option<ShortString>,
        consumer: Consumer,
    },
}

impl Feed {
    pub(super) fn kept(channel: &Channel, kept: ShortString, queue: ShortString) -> Self {
        let next = get(channel.clone(), kept.clone());
        Self::Getting { kept, queue, next }
    }

    /// The queues that were read so far.
    pub(super) fn queues(&self) -> Vec<ShortString> {
        match self {
            Self::Consuming { kept, consumer } => kept.iter().cloned().chain([consumer.queue()]).collect(),
            Self::Getting { kept, .. } | Self::Starting { kept, .. } => vec![kept.clone()],
        }
    }

    /// The next delivery.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, channel: &Channel) -> Result<Poll<Delivery>, Failure> {
        loop {
            match self {
                Self::Consuming { consumer, .. } => {
                    return match consumer.poll_next_unpin(cx) {
                        Poll::Ready(Some(Ok(delivery))) => Ok(Poll::Ready(delivery)),
                        Poll::Ready(Some(Err(failure))) => Err(Failure::Lapin(failure)),
                        Poll::Ready(None) => Err(Failure::Cancelled),
                        Poll::Pending => Ok(Poll::Pending),
                    };
                }
                Self::Starting { kept, starting } => match starting.as_mut().poll(cx) {
                    Poll::Ready(started) => {
                        let kept = Some(std::mem::take(kept));
                        *self = Self::Consuming { kept, consumer: started.map_err(Failure::Lapin)? };
                    }
                    Poll::Pending => return Ok(Poll::Pending),
                },
                Self::Getting { kept, queue, next } => match next.as_mut().poll(cx) {
                    Poll::Ready(Ok(Some(got))) => {
                        *next = get(channel.clone(), kept.clone());
                        return Ok(Poll::Ready(got.delivery));
                    }
                    Poll::Ready(Ok(None)) => {
                        let starting = opening::consume(channel.clone(), queue.clone());
                        *self = Self::Starting { kept: std::mem::take(kept), starting };
                    }
                    Poll::Ready(Err(failure)) => return Err(Failure::Lapin(failure)),
                    Poll::Pending => return Ok(Poll::Pending),
                },
            }
        }
    }
}

fn get(channel: Channel, kept: ShortString) -> BoxFuture<'static, lapin::Result<Option<BasicGetMessage>>> {
    Box::pin(async move { channel.basic_get(kept, BasicGetOptions::default()).await })
}
