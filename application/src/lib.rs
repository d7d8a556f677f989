//! The application side of a service: what happens inside of it ([`domain`]), who does what ([`mediator`]), what others
//! are told of it ([`mapper`], [`factory`]), and that they are told ([`publishing`]).
//!
//! ```
//! use std::sync::Arc;
//! use gulo_application::domain::{DomainEvent, Events};
//! use gulo_application::mapper::EventMapper;
//! use gulo_application::mediator::{Logging, Mediate, Mediator, Request, Validation};
//! use gulo_application::publishing::{OnPublishFailure, integration_event_mediator};
//! # use gulo_bus_core::bus::Bus;
//! # use gulo_bus_core::event::IntegrationEvent;
//! # use gulo_transport_memory::MemoryTransport;
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct UserRegistered { user_id: u64, email: String }
//! # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
//!
//! struct UserCreated { user_id: u64, email: String }
//! impl DomainEvent for UserCreated {}
//!
//! struct CreateUser { email: String }
//! impl Request for CreateUser { type Response = u64; }
//!
//! async fn create_user(command: CreateUser, events: Events) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
//!     events.raise(UserCreated { user_id: 7, email: command.email })?;
//!     Ok(7)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let bus = Bus::builder("user-service").topic("integration-events.user_registered", |t| t)
//! #     .transport(MemoryTransport::new()).start().await?;
//! let mediator = Mediator::builder().behaviour(Logging).behaviour(Validation).handle(create_user).build()?;
//! let mapper = EventMapper::new()
//!     .map(|user: &UserCreated| UserRegistered { user_id: user.user_id, email: user.email.clone() });
//! let mediator = integration_event_mediator(mediator, Arc::new(bus.publisher()), mapper, OnPublishFailure::FailRequest)?;
//!
//! // Resolves when the broker has confirmed what this led to.
//! let user_id = mediator.send(CreateUser { email: "ann@example.org".into() }).await?;
//! # assert_eq!(user_id, 7);
//! # Ok(()) }
//! ```

pub mod consumer;
pub mod domain;
pub mod factory;
mod lifecycle;
pub mod mapper;
pub mod mediator;
pub mod publisher;
pub mod publishing;
