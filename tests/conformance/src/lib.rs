//! What every Gulo transport does, as a suite that it can run.
//!
//! `fn main()` of a test with `harness = false` gives [`run`] a [`Harness`] for each broker. Each case is a sentence
//! about the seam, `gulo_bus_core::transport`. One that needs what a transport does not offer, or a broker that is not
//! there, is shown as ignored, with the reason; where the environment variable `GULO_REQUIRE` (names, separated by
//! commas) names the broker, one that cannot run for want of it fails instead.
//!
//! Cases run at the same time, on topics and groups of their own, so a broker that others use too will do.

mod cases;
mod plan;
mod proxy;
mod support;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gulo_bus_core::transport::Transport;

pub use plan::{run, run_one};
pub use proxy::{Mode, Proxy, Way};

/// A broker to run the suite on.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// How its cases are listed: `kafka`, `memory (queue)`.
    fn name(&self) -> &str;

    /// Its name in `GULO_REQUIRE`.
    fn require_name(&self) -> &str;

    /// Name, version and address of the broker, where they are known.
    fn broker(&self) -> Option<String>;

    /// Why no case can run; `None` where the broker answers. Asked once, at the beginning.
    fn unavailable(&self) -> Option<String>;

    /// A client of its own, as another process would have. Must not need the broker.
    async fn transport(&self) -> Arc<dyn Transport>;

    /// A client whose way to the broker can be cut. Its publishes should give up after a second or two. A case that
    /// cuts uses no other client, and no two such cases run at once.
    async fn cut(&self) -> Option<Cut>;

    /// Why [`cut`](Self::cut) gives nothing; `None` where it gives something.
    fn no_cut(&self) -> Option<String>;

    /// How long one thing that must happen may take.
    fn patience(&self) -> Duration;
}

/// A client, and the switch on its way to the broker.
pub struct Cut {
    transport: Arc<dyn Transport>,
    link: Box<dyn Link>,
}

impl Cut {
    /// `transport` reaches its broker by way of `link`, which is whole.
    pub fn new(transport: Arc<dyn Transport>, link: impl Link) -> Self {
        Self { transport, link: Box::new(link) }
    }
}

impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cut").finish_non_exhaustive()
    }
}

/// The way between a client and its broker. Dropping it must leave it whole.
#[async_trait]
pub trait Link: Send + Sync + 'static {
    /// From now on nothing comes through.
    async fn cut(&self, how: Break);

    /// Everything comes through again.
    async fn heal(&self);
}

/// How a way is cut. Where a link knows only one way to break, both mean that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Connections end and new ones are refused, as when the broker's process has died.
    Refuse,
    /// Connections stay and nothing moves on them, as when a cable is pulled: what is under way is neither confirmed
    /// nor refused.
    Freeze,
}
