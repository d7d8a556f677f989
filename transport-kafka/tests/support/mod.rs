//! What tests against a real broker share: where it is.

mod broker;

pub use broker::Broker;
