//! What is on its way, and what becomes of it.
//!
//! lapin attaches a message that the broker returned to whichever confirm it completes next, on the channel: taken at face
//! value, a message that arrived is reported as unroutable and the other way round. A return is therefore filed by the id of
//! its message. And nothing is answered before every confirm published before it has been completed and all completed ones
//! have been looked at: each completion takes the oldest waiting return with it, returns come in the order published, each
//! before the confirm of its own message; so by then it has been taken by one of them.
//!
//! A confirm that is completed leaves its place in the [`mail`]: so all completed ones are looked at, and only they.

mod mail;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use lapin::message::BasicReturnMessage;
use lapin::{Confirmation, PublisherConfirm};

use crate::connection::Gently;

use super::publishing::{Prepared, Publishing, room};
use mail::Mail;

/// What lapin promises of a publish that is written.
pub(super) trait Confirm: Future<Output = lapin::Result<Confirmation>> + Unpin {}

impl<C: Future<Output = lapin::Result<Confirmation>> + Unpin> Confirm for C {}

enum Stage<C> {
    /// Handed over; to be written.
    Writing(Publishing<C>),
    /// Written.
    Confirming(C),
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
struct Flying<C> {
    call: u64,
    index: usize,
    stage: Stage<C>,
    /// What came back says of it.
    returned: Option<End>,
}

impl<C: Confirm> Flying<C> {
    /// `true` once it is written, or will never be.
    fn write(&mut self, cx: &mut Context<'_>, rooms: &mut Vec<Publishing<C>>) -> bool {
        let Stage::Writing(publishing) = &mut self.stage else { return true };
        let written = match publishing.poll(cx) {
            Poll::Ready(Ok(confirm)) => Stage::Confirming(confirm),
            Poll::Ready(Err(failure)) => Stage::Over(End::Failed(failure)),
            Poll::Pending => return false,
        };
        if let Stage::Writing(room) = std::mem::replace(&mut self.stage, written) {
            rooms.push(room);
        }
        true
    }

    /// Whether it is confirmed.
    fn look(&mut self, cx: &mut Context<'_>, returns: &mut Vec<BasicReturnMessage>) {
        let Stage::Confirming(confirm) = &mut self.stage else { return };
        let Poll::Ready(told) = confirm.poll_unpin(cx) else { return };
        self.stage = Stage::Over(match told {
            Ok(confirmation) => {
                let end = if confirmation.is_ack() { End::Confirmed } else { End::Nacked };
                returns.extend(confirmation.take_message());
                end
            }
            Err(failure) => End::Failed(failure),
        });
    }

    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over(_))
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
pub(super) struct Flight<C = PublisherConfirm> {
    list: VecDeque<Flying<C>>,
    /// Number of the first of them, counted from the first one ever.
    first: u64,
    /// Number of the first one that is not known to be written. They are written in order.
    unwritten: u64,
    mail: Mail,
    writing: Gently,
    /// Not in use.
    rooms: Vec<Publishing<C>>,
    /// What came back and is not filed.
    returns: Vec<BasicReturnMessage>,
    /// What begins the ids that this publisher gives, and nobody else.
    own: String,
}

impl<C: Confirm> Flight<C> {
    /// For at most `window` at a time. Ids that begin with `own` are given once.
    pub(super) fn new(window: usize, own: String) -> Self {
        Self {
            list: VecDeque::new(),
            first: 0,
            unwritten: 0,
            mail: Mail::new(window),
            writing: Gently::default(),
            rooms: Vec::new(),
            returns: Vec::new(),
            own,
        }
    }

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

    /// Takes a publish in, and polls it once: with that its frame is handed over, in the order of these calls. Nobody is
    /// woken when it is written: who is first in line says so.
    fn take_in(&mut self, call: u64, index: usize, publishing: Publishing<C>) {
        let mut flying = Flying { call, index, stage: Stage::Writing(publishing), returned: None };
        // What it says is heard by the next poll.
        let _ = flying.write(&mut Context::from_waker(Waker::noop()), &mut self.rooms);
        self.list.push_back(flying);
    }

    /// Goes on; answers those that have ended, as far as nothing before them is open. `is` says whether what came back is
    /// the message of this place of this call, `None` that this call was over before, and its message given back.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        is: impl FnMut(&BasicReturnMessage, u64, usize) -> Option<bool>,
    ) -> Vec<Ended> {
        let over = loop {
            let over = self.list.iter().take_while(|flying| flying.is_over()).count();
            // What was completed before one that is seen to be over has been in the mail by then, or is written by then:
            // so nothing is answered before both have nothing new.
            let came = self.mail.take(self.first + over as u64, cx.waker());
            let wrote = self.poll_writing(cx, over);
            came.iter().for_each(|place| self.look(*place));
            let nothing_new = came.is_empty() && !wrote;
            self.mail.give_back(came);
            if nothing_new {
                break over;
            }
        };
        if over == 0 {
            return Vec::new();
        }
        self.file(is);
        self.first += over as u64;
        self.list.drain(..over).map(|flying| (flying.call, flying.index, flying.end())).collect()
    }

    /// Whether there are new ones that are written. The first that is not wakes who asks where nothing is before it: with what
    /// comes next, as its confirm does not come earlier.
    fn poll_writing(&mut self, cx: &mut Context<'_>, over: usize) -> bool {
        let mut any = false;
        loop {
            let index = (self.unwritten - self.first) as usize;
            let Some(flying) = self.list.get_mut(index) else { return any };
            let waker = if index == over { self.writing.later(cx.waker()) } else { Waker::noop() };
            if !flying.write(&mut Context::from_waker(waker), &mut self.rooms) {
                return any;
            }
            flying.look(&mut Context::from_waker(self.mail.waker(self.unwritten)), &mut self.returns);
            self.unwritten += 1;
            any = true;
        }
    }

    /// At the one of this place, which may be gone.
    fn look(&mut self, place: usize) {
        let number = self.mail.number(place, self.first);
        let Some(flying) = self.list.get_mut((number - self.first) as usize) else { return };
        flying.look(&mut Context::from_waker(self.mail.waker(number)), &mut self.returns);
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
            let id = returned.properties.message_id().as_ref();
            let forgotten = forgotten && !id.is_some_and(|id| id.as_str().starts_with(&self.own));
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

impl Flight {
    /// Publishes.
    pub(super) fn push(&mut self, call: u64, prepared: Prepared) {
        let index = prepared.index;
        let mut publishing = self.rooms.pop().unwrap_or_else(room);
        publishing.begin(prepared);
        self.take_in(call, index, publishing);
    }
}
