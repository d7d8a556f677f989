//! Commands and queries, each with one handler, and behaviours around them; domain events, each with any number.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use gulo_application::domain::{DomainEvent, Events, NotCollected, Raised};
//! use gulo_application::mediator::{Mediate, Mediator, Problems, Request, RequestKind, State, Validation};
//!
//! struct CreateUser { email: String }
//!
//! impl Request for CreateUser {
//!     type Response = usize;
//!
//!     fn validate(&self, problems: &mut Problems) {
//!         problems.require(self.email.contains('@'), "email", "has no @");
//!     }
//! }
//!
//! struct CountUsers;
//!
//! impl Request for CountUsers {
//!     type Response = usize;
//!     const KIND: RequestKind = RequestKind::Query;
//! }
//!
//! struct UserCreated { user_id: usize }
//! impl DomainEvent for UserCreated {}
//!
//! type Users = Arc<Mutex<Vec<String>>>;
//!
//! async fn create_user(command: CreateUser, State(users): State<Users>, events: Events) -> Result<usize, NotCollected> {
//!     let mut users = users.lock().unwrap();
//!     users.push(command.email);
//!     events.raise(UserCreated { user_id: users.len() })?;
//!     Ok(users.len())
//! }
//!
//! async fn count_users(_: CountUsers, State(users): State<Users>) -> usize {
//!     users.lock().unwrap().len()
//! }
//!
//! async fn greet(user: Raised<UserCreated>) {
//!     println!("welcome, {}", user.user_id);
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mediator = Mediator::builder()
//!     .behaviour(Validation) // in this order, the first outermost
//!     .handle(create_user)
//!     .handle(count_users)
//!     .on(greet)
//!     .state(Users::default())
//!     .build()?;
//!
//! assert_eq!(mediator.send(CreateUser { email: "ann@example.org".into() }).await?, 1);
//! assert_eq!(mediator.send(CountUsers).await?, 1);
//! let error = mediator.send(CreateUser { email: "ann".into() }).await.unwrap_err();
//! assert_eq!(error.to_string(), "command `CreateUser` is not valid: email has no @");
//! # Ok(()) }
//! ```

mod behaviour;
mod builder;
mod error;
mod extract;
mod handler;
mod notification;
mod request;
mod send;

pub use behaviour::{Behaviour, BehaviourFor, Call, Logging, Next, RequestFuture, Timing, Validation, View};
pub use builder::MediatorBuilder;
pub(crate) use error::called;
pub use error::{Problem, Problems, RequestError, RequestErrorKind};
pub use extract::{FromRequest, RequestContext, State};
pub use handler::{Handled, IntoAnswer, RequestHandler};
pub use notification::NotificationHandler;
pub use request::{Request, RequestKind, RequestMeta};
pub(crate) use send::hand_on;
pub use send::{Mediate, Mediator};
