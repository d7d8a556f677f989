//! What tests against a real broker share: where it is, and a way to it that can be cut.

mod broker;
#[allow(dead_code, reason = "each test binary uses its own part")]
mod proxy;

pub use broker::Broker;
pub use proxy::{Mode, Proxy};
