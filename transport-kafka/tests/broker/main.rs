//! The transport on a real broker: `scripts/brokers up kafka`. Without one these tests pass and say `ignored`, unless
//! `GULO_REQUIRE` names `kafka`.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod faults;
mod groups;
mod lanes;
mod publishing;
#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod rig;
mod solo;
mod support;
mod topology;
