//! The cases, each a sentence about the seam.

macro_rules! case {
    ($name:ident) => {
        $crate::cases::Case::new(stringify!($name), |bench| Box::pin($name(bench)))
    };
}

mod broken;
mod close;
mod delays;
mod delivery;
mod groups;
mod lanes;
mod limits;
mod options;
mod publish;
mod refusals;
mod restart;
mod solo;
mod topology;
mod transactions;

use futures_util::future::BoxFuture;
use gulo_bus_core::transport::{Capabilities, Capability};

use crate::support::Bench;

/// A case: it fails by panicking.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// It cuts the way to the broker.
    pub(crate) cuts: bool,
    pub(crate) body: fn(Bench) -> BoxFuture<'static, ()>,
    needs: &'static [Capability],
    lacks: &'static [Capability],
    limited: bool,
}

impl Case {
    const fn new(name: &'static str, body: fn(Bench) -> BoxFuture<'static, ()>) -> Self {
        Self { name, cuts: false, body, needs: &[], lacks: &[], limited: false }
    }

    /// Only for transports that offer all of `capabilities`.
    const fn needs(self, needs: &'static [Capability]) -> Self {
        Self { needs, ..self }
    }

    /// Only for transports that offer none of `capabilities`.
    const fn lacks(self, lacks: &'static [Capability]) -> Self {
        Self { lacks, ..self }
    }

    /// Only for transports with a limit on the size of a message.
    const fn limited(self) -> Self {
        Self { limited: true, ..self }
    }

    /// It gets a client whose way to the broker it can cut.
    const fn cuts(self) -> Self {
        Self { cuts: true, ..self }
    }

    /// Why it says nothing about a transport that can do this.
    pub(crate) fn does_not_apply(&self, can: Capabilities) -> Option<String> {
        let lacking = self.needs.iter().find(|capability| !can.has(**capability));
        let offered = self.lacks.iter().find(|capability| can.has(**capability));
        let unlimited = self.limited && can.max_message_bytes.is_none();
        (lacking.map(|capability| format!("no `{capability}`")))
            .or_else(|| offered.map(|capability| format!("offers `{capability}`")))
            .or_else(|| unlimited.then(|| "no limit on the size of a message".to_owned()))
    }
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = Case> {
    let all = [
        publish::CASES,
        topology::CASES,
        transactions::CASES,
        delivery::CASES,
        restart::CASES,
        lanes::CASES,
        limits::CASES,
        groups::CASES,
        solo::CASES,
        options::CASES,
        delays::CASES,
        refusals::CASES,
        close::CASES,
        broken::CASES,
    ];
    all.into_iter().flatten().copied()
}
