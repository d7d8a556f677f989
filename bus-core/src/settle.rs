//! Lanes, tokens and verdicts: how a message handed out finds its way back. For transports, and for those who read
//! without a bus.
//!
//! ```
//! # use gulo_bus_core::settle::{Settlement, Verdict};
//! # use gulo_bus_core::transport::{Delivery, Source};
//! fn settle(source: &mut dyn Source, done: &[Delivery], later: &Delivery) -> gulo_bus_core::Result<()> {
//!     let mut batch: Vec<_> = done.iter().map(|delivery| Settlement::done(delivery.token)).collect();
//!     batch.push(Settlement { token: later.token, verdict: Verdict::Requeue }); // needs the capability `requeue`
//!     source.settle(&mut batch)
//! }
//! ```

pub mod ledger;

pub use ledger::{Ledger, Run};

/// The scope in which a sequence number means something: one assignment of a Kafka partition, one AMQP channel, one
/// queue in memory.
///
/// `slot` is stable for the same partition or queue within one source. `epoch` is new for every assignment,
/// reconnect and seek, so a verdict that comes too late carries an old epoch and can reach nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// Which partition or queue, by an index of the source's own.
    pub slot: u32,
    /// Which assignment of it.
    pub epoch: u32,
}

/// Names one delivery to its source. 16 bytes, `Copy`.
///
/// ```
/// # use gulo_bus_core::settle::{Lane, Settlement, Token, Verdict};
/// let token = Token { lane: Lane { slot: 3, epoch: 1 }, seq: 0 }; // the first one of this assignment
/// assert_eq!(Settlement::done(token).verdict, Verdict::Done);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    /// The lane it came on.
    pub lane: Lane,
    /// Its place among the arrivals of that lane, from 0: dense, whatever holes the broker's log has.
    pub seq: u64,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Finished with: its effect is done, or a confirmed copy stands elsewhere. It will not be delivered again.
    Done,
    /// Handed back without blame, to be delivered again. Needs the capability `requeue`.
    Requeue,
    /// Handed to the broker's own dead-lettering. Needs the capability `reject`.
    Reject,
}

/// A verdict on one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settlement {
    /// Which delivery.
    pub token: Token,
    /// What becomes of it.
    pub verdict: Verdict,
}

impl Settlement {
    /// The delivery of `token` is done.
    pub const fn done(token: Token) -> Self {
        Self { token, verdict: Verdict::Done }
    }
}
