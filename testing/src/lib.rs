//! Tests of a whole application: its bus as in production, on the memory transport, in virtual time.
//!
//! [`TestBus`] takes the `BusBuilder` as the application makes it, puts a broker in memory in place of its transport,
//! and writes down what happens. [`settle`](TestBus::settle) waits until all that was published has come to its end in
//! every group, retries and dead letters included; a day of back-off takes a millisecond. Then it answers: what was
//! published, handled, retried, dead-lettered, skipped.
//!
//! ```
//! use gulo_bus_core::bus::{Bus, BusBuilder, Publish, Subscription};
//! use gulo_bus_core::event::IntegrationEvent;
//! use gulo_bus_core::handler::{Event, HandlerError};
//! use gulo_testing::TestBus;
//!
//! #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
//! struct UserRegistered { email: String }
//! impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
//!
//! #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
//! struct WelcomeSent { email: String }
//! impl IntegrationEvent for WelcomeSent { const TYPE: &'static str = "welcome.sent"; }
//!
//! async fn send_welcome(Event(user): Event<UserRegistered>, bus: Publish) -> Result<(), HandlerError> {
//!     bus.publish(WelcomeSent { email: user.email }).await?;
//!     Ok(())
//! }
//!
//! /// The application, as `main` starts it.
//! fn app() -> BusBuilder {
//!     Bus::builder("user-service")
//!         .topic("integration-events.welcome_sent", |t| t)
//!         .subscribe(Subscription::group("email").on(send_welcome))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In a `#[tokio::test]`:
//! let bus = TestBus::start(app()).await?;
//! bus.publish(UserRegistered { email: "a@example.org".into() }).await?;
//! bus.settle().await?;
//! assert_eq!(bus.published::<WelcomeSent>(), [WelcomeSent { email: "a@example.org".into() }]);
//! bus.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Where a test fails, what happened instead is printed: see [`TestBus::log`]. [The guide to testing] goes from the
//! cheapest test to the dearest, [`MockEventPublisher`] among them.
//!
//! [The guide to testing]: https://github.com/gulo-rs/gulo/blob/main/docs/testing.md

mod answers;
mod bus;
mod clock;
mod layer;
mod record;
mod settle;
mod transport;

pub use answers::{DeadLettered, Handled, Published, Retried, Skipped};
pub use bus::{Setup, TestBus};
pub use record::Log;
pub use settle::{Open, Unsettled};

pub use gulo_bus_core::event_publisher::MockEventPublisher;
