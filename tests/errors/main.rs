//! What a user can do wrong, and what is said of it: what happened, where, and what to do.

#[path = "../support/mod.rs"]
mod support;

mod formats;
mod handling;
mod limits;
mod names;
mod publishing;
mod reading;
mod said;
mod secrets;
mod shutdown;
mod start;
#[cfg(feature = "testing")]
mod testing;
