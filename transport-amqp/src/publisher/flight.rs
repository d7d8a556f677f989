//! What is on its way, and what becomes of it.
//!
//! lapin attaches a message that the broker returned to whichever confirm it completes next, on the channel: taken at face
//! value, a message that arrived is reported as unroutable and the other way round. A return is therefore filed by the id of
//! its message. And nothing is answered before every confirm published before it has been completed and all completed ones
//! have been looked at: each completion takes one waiting return with it, and a return comes before the confirm of its own
//! message, so by then it has been taken by one of them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use lapin::PublisherConfirm;
use lapin::message::BasicReturnMessage;

use crate::convert::OWN_ID;

type Publishing = Pin<Box<dyn Future<Output = lapin::Result<PublisherConfirm>> + Send>>;

enum Stage {
    /// Handed over; to be written.
    Writing(Publishing),
    /// Written.
    Confirming(PublisherConfirm),
    Over(End),
}

/// How a publish ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    Confirmed,
    /// No queue took it.
    Returned,
    /// A queue did not take it.
    Nacked,
    /// Several messages of this id are on their way, and not all came back: it is not known which.
    Ambiguous,
    Failed(lapin::Error),
}

/// A message on its way: which call it belongs to, and its place there.
struct Flying {
    call: u64,
    index: usize,
    stage: Stage,
    /// What came back says of it.
    returned: Option<End>,
}

impl Flying {
    fn poll(&mut self, cx: &mut Context<'_>, returns: &mut Vec<BasicReturnMessage>) -> Poll<()> {
        loop {
            self.stage = match &mut self.stage {
                Stage::Writing(publishing) => match publishing.as_mut().poll(cx) {
                    Poll::Ready(Ok(confirm)) => Stage::Confirming(confirm),
                    Poll::Ready(Err(failure)) => Stage::Over(End::Failed(failure)),
                    Poll::Pending => return Poll::Pending,
                },
                Stage::Confirming(confirm) => match confirm.poll_unpin(cx) {
                    Poll::Ready(Ok(confirmation)) => {
                        let end = if confirmation.is_ack() { End::Confirmed } else { End::Nacked };
                        returns.extend(confirmation.take_message());
                        Stage::Over(end)
                    }
                    Poll::Ready(Err(failure)) => Stage::Over(End::Failed(failure)),
                    Poll::Pending => return Poll::Pending,
                },
                Stage::Over(_) => return Poll::Ready(()),
            };
        }
    }

    fn end(self) -> End {
        match (self.returned, self.stage) {
            (Some(returned), Stage::Over(End::Confirmed)) => returned,
            (_, Stage::Over(end)) => end,
            // Only what has ended is asked.
            _ => End::Ambiguous,
        }
    }
}

/// A publish that has ended: its call, its place there, and how.
pub(super) type Ended = (u64, usize, End);

/// All that is on its way, in the order published.
#[derive(Default)]
pub(super) struct Flight {
    list: VecDeque<Flying>,
    /// What came back and is not filed. A confirm may be there at the first look already, where this thread was held up
    /// between handing the frame over and looking.
    returns: Vec<BasicReturnMessage>,
}

impl Flight {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Call and place there of each.
    pub(super) fn places(&self) -> impl Iterator<Item = (u64, usize)> {
        self.list.iter().map(|flying| (flying.call, flying.index))
    }

    pub(super) fn holds(&self, call: u64, index: usize) -> bool {
        self.list.iter().any(|flying| (flying.call, flying.index) == (call, index))
    }

    /// Takes a publish in, and polls it once: with that its frame is handed over, in the order of these calls. Who is woken
    /// by the first in line has no need to be woken by the others.
    pub(super) fn push(&mut self, call: u64, index: usize, publishing: Publishing) {
        let mut flying = Flying { call, index, stage: Stage::Writing(publishing), returned: None };
        let _ = flying.poll(&mut Context::from_waker(Waker::noop()), &mut self.returns);
        self.list.push_back(flying);
    }

    /// Goes on; answers those that have ended, as far as nothing before them is open. `is` says whether what came back is
    /// the message of this place of this call, `None` that this call was over before, and its message given back.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        is: impl FnMut(&BasicReturnMessage, u64, usize) -> Option<bool>,
    ) -> Vec<Ended> {
        let (list, returns) = (&mut self.list, &mut self.returns);
        let first_open = list.iter_mut().position(|flying| flying.poll(cx, returns).is_pending());
        let over = first_open.unwrap_or(list.len());
        if over == 0 {
            return Vec::new();
        }
        // Whether one behind them carries a return that is theirs.
        let cx = &mut Context::from_waker(Waker::noop());
        for flying in list.iter_mut().skip(over + 1) {
            let _ = flying.poll(cx, returns);
        }
        self.file(is);
        self.list.drain(..over).map(|flying| (flying.call, flying.index, flying.end())).collect()
    }

    fn file(&mut self, mut is: impl FnMut(&BasicReturnMessage, u64, usize) -> Option<bool>) {
        let returns = std::mem::take(&mut self.returns);
        for returned in &returns {
            let (mut found, mut forgotten) = (Vec::new(), false);
            for flying in &mut self.list {
                match is(returned, flying.call, flying.index) {
                    Some(true) => found.push(flying),
                    Some(false) => {}
                    None => forgotten = true,
                }
            }
            // What was published again after its time was over has the id that it had before. Ours are never the same.
            let forgotten = forgotten && !is_ours(returned);
            let alike = |other: &&BasicReturnMessage| {
                other.properties.message_id() == returned.properties.message_id()
                    && other.delivery.exchange == returned.delivery.exchange
            };
            let came = returns.iter().filter(alike).count();
            let end = if came >= found.len() && !forgotten { End::Returned } else { End::Ambiguous };
            found.iter_mut().for_each(|flying| flying.returned = Some(end.clone()));
        }
    }
}

fn is_ours(returned: &BasicReturnMessage) -> bool {
    returned.properties.message_id().as_ref().is_some_and(|id| id.as_str().starts_with(OWN_ID))
}
