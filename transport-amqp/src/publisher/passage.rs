//! A publisher's channel: opened, lost, and opened again.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use gulo_bus_core::{Error, Result};
use lapin::options::ConfirmSelectOptions;
use lapin::{Channel, Connection};
use tokio::time::{Sleep, sleep};

use crate::connection::Link;
use crate::convert;

/// Between attempts to get a channel.
pub(super) const FIRST_REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// A channel with confirms.
pub(super) struct Way {
    pub(super) channel: Arc<Channel>,
    pub(super) largest_header: usize,
    _connection: Arc<Connection>,
}

enum State {
    Opening(BoxFuture<'static, Result<Way>>),
    Resting(Pin<Box<Sleep>>),
    Open(Way),
}

pub(super) struct Passage {
    link: Arc<Link>,
    state: State,
    rest: Duration,
    /// Why there is no channel.
    pub(super) trouble: Option<Error>,
}

impl Passage {
    /// One that is open.
    pub(super) async fn open(link: Arc<Link>) -> Result<Self> {
        let way = open(link.clone()).await?;
        Ok(Self { link, state: State::Open(way), rest: FIRST_REST, trouble: None })
    }

    /// The channel, which may be lost by now.
    pub(super) fn way(&self) -> Option<&Way> {
        match &self.state {
            State::Open(way) => Some(way),
            _ => None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.way().is_some_and(|way| way.channel.status().connected())
    }

    /// Sees to a channel, whether somebody publishes or not: the status tells of it. `true` where one is found to be lost: every
    /// confirm on it has failed by now, or will at once.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let mut lost = false;
        loop {
            self.state = match &mut self.state {
                State::Open(way) if way.channel.status().connected() => return lost,
                State::Open(_) => {
                    lost = true;
                    self.again()
                }
                State::Opening(opening) => match opening.as_mut().poll(cx) {
                    Poll::Ready(opened) => self.opened(opened),
                    Poll::Pending => return lost,
                },
                State::Resting(rest) => match rest.as_mut().poll(cx) {
                    Poll::Ready(()) => self.again(),
                    Poll::Pending => return lost,
                },
            };
        }
    }

    fn again(&self) -> State {
        State::Opening(Box::pin(open(self.link.clone())))
    }

    fn opened(&mut self, opened: Result<Way>) -> State {
        match opened {
            Ok(way) => {
                (self.rest, self.trouble) = (FIRST_REST, None);
                State::Open(way)
            }
            Err(trouble) => {
                self.trouble = Some(trouble);
                let rest = sleep(self.rest);
                self.rest = LONGEST_REST.min(self.rest * 2);
                State::Resting(Box::pin(rest))
            }
        }
    }
}

async fn open(link: Arc<Link>) -> Result<Way> {
    let (channel, connection) = link.channel().await?;
    link.within(channel.confirm_select(ConfirmSelectOptions::default())).await?;
    let largest_header = convert::largest_header(connection.configuration().frame_max() as usize);
    Ok(Way { channel: Arc::new(channel), largest_header, _connection: connection })
}
