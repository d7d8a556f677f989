//! The contract and the engine of the Gulo event bus. It names no broker and opens no socket.
//!
//! Applications use the facade, `gulo`. This crate is for those who write a transport: [`transport`] is the seam.

pub mod bus;
pub mod codec;
pub mod config;
pub mod dead_letter;
mod dispatch;
pub mod envelope;
pub mod error;
pub mod event;
pub mod event_publisher;
pub mod handler;
pub mod headers;
pub mod layer;
pub mod message;
mod panic;
pub mod retry;
pub mod routing;
pub mod settle;
mod time;
pub mod transport;

pub use config::ServiceConfig;
pub use error::{Error, ErrorKind, Result};
