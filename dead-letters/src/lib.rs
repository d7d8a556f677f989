//! Dead letters for people: what stands in a dead-letter topic, as typed records, and chosen ones sent back to where
//! they came from.
//!
//! [`DeadLetters`] reads a topic as it stands, and settles and removes nothing. A [`Letter`] says what failed, where,
//! how often and why, whether Gulo wrote it, Spring Kafka, Kafka Connect or Wolverine ([`Convention`]). [`Republish`]
//! makes messages of letters again: same key, same bytes, same headers, and says on them that it did.
//! [The guide to dead letters] walks through it.
//!
//! [The guide to dead letters]: https://github.com/gulo-rs/gulo/blob/main/docs/dead-letters.md
//!
//! ```
//! use std::sync::Arc;
//!
//! use gulo_bus_core::transport::Transport;
//! use gulo_dead_letters::{DeadLetters, Filter, Republish};
//!
//! # async fn example(transport: Arc<dyn Transport>) -> Result<(), Box<dyn std::error::Error>> {
//! let mut letters = DeadLetters::new(transport.clone()).open("users.email.dlq").await?;
//! letters.filter(Filter::new().error("no address"));
//! let chosen = letters.read_all(1000).await?;
//! chosen.iter().for_each(|letter| println!("{letter}"));
//!
//! let republish = Republish::new(transport).only_to(["users"]).per_second(50);
//! println!("{}", republish.dry_run(&chosen).await?);
//! println!("{}", republish.send(chosen).await?);
//! # Ok(())
//! # }
//! ```

mod convention;
mod filter;
mod letter;
mod reader;
mod republish;
mod text;

pub use convention::Convention;
pub use filter::Filter;
pub use letter::{CameFrom, Failure, Letter, Reason};
pub use reader::{DeadLetters, Letters};
pub use republish::{DryRun, Planned, Refusal, Refused, Report, Republish, Sent, Unconfirmed, provenance};
