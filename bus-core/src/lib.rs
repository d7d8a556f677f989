//! The contract and the engine of the Gulo event bus. It names no broker and opens no socket.
//!
//! Applications use the facade, `gulo`. This crate is for those who write a transport: [`transport`] is the seam. What
//! works on one transport works on every other that has the [capabilities](transport::Capabilities):
//!
//! ```
//! # use gulo_bus_core::event::IntegrationEvent;
//! # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { email: String }
//! # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
//! use gulo_bus_core::bus::{Bus, Subscription};
//! use gulo_bus_core::handler::Event;
//! use gulo_bus_core::transport::Transport;
//!
//! async fn run(transport: impl Transport) -> Result<(), Box<dyn std::error::Error>> {
//!     let welcome = async |Event(user): Event<UserRegistered>| println!("welcome, {}", user.email);
//!     let email = Subscription::group("email").on(welcome);
//!     let bus = Bus::builder("user-service").transport(transport).subscribe(email).start().await?;
//!     bus.publish(UserRegistered { email: "ann@example.org".into() }).await?;
//!     Ok(())
//! }
//! ```
//!
//! How it is built, and why so: [the architecture](https://github.com/gulo-rs/gulo/blob/main/docs/architecture.md).

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
pub mod retry_later;
pub mod routing;
pub mod settle;
mod time;
pub mod transport;

pub use config::ServiceConfig;
pub use error::{Error, ErrorKind, Result};
