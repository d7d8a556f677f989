//! What tests against a real broker share: where it is, and a way to it that can be cut.

mod broker;
mod proxy;

pub use broker::Broker;
pub use proxy::{Mode, Proxy};
