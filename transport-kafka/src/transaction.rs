//! Transactions: what is published and what is settled in one becomes visible together, or not at all.

mod client;
mod failure;
mod part;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use gulo_bus_core::message::Message;
use gulo_bus_core::settle::Settlement;
use gulo_bus_core::transport::{Outcome, Source, Transaction, Unsent};
use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::time::Instant;

use crate::config::KafkaConfig;
use crate::context::Health;
use crate::source::KafkaSource;
use crate::topology::Inquiry;

use client::{Client, Turn};

pub(crate) use client::Clients;
pub(crate) use failure::Failure;
pub(crate) use part::Part;

/// An open transaction. Dropped before its end it is taken back, in the background.
pub(crate) struct KafkaTransaction {
    id: Arc<str>,
    /// Gone when it has ended.
    turn: Option<Turn>,
    parts: Vec<Part>,
    /// Why it can only be taken back.
    broken: Option<Error>,
    /// A publish has begun and not ended: where its future was dropped, nobody knows what of it has been handed over.
    publishing: bool,
    /// The broker has been told to commit it, and has not answered yet.
    committing: bool,
}

impl KafkaTransaction {
    /// Opens one, and the producer of its id where there is none yet.
    pub(crate) async fn open(
        config: &Arc<KafkaConfig>,
        health: &Arc<Health>,
        clients: &Clients,
        id: &str,
    ) -> Result<Self> {
        let mut turn = clients.turn(id, Instant::now() + config.connect_timeout).await?;
        // One that was fenced meanwhile begins nothing any more, and is opened anew.
        if turn.as_ref().is_none_or(|client| client.begin().is_err()) {
            *turn = None;
            // Why nothing can be reached is told clearly here, and at once.
            Inquiry::open(config, health).await?.topics().await?;
            let client = Client::open(config, health, id).await?;
            client.begin().map_err(|failure| client.error("beginning it", &failure))?;
            *turn = Some(client);
        }
        Ok(Self {
            id: id.into(),
            turn: Some(turn),
            parts: Vec::new(),
            broken: None,
            publishing: false,
            committing: false,
        })
    }

    fn client(&self) -> Option<&Client> {
        self.turn.as_ref()?.as_ref()
    }

    /// In a task of its own: what has begun goes on to its end, whoever stops waiting for it.
    async fn end<F: Future<Output = Result<()>> + Send + 'static>(self, end: impl FnOnce(Self) -> F) -> Result<()> {
        let id = Arc::clone(&self.id);
        let ended = tokio::spawn(end(self)).await;
        let ended = ended.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Other, "its end was broken off")
                .help("the broker takes it back after transaction.timeout.ms; see `Error::source`")
                .source(error))
        });
        ended.map_err(|error| error.context(format_args!("transaction `{id}`")))
    }

    async fn commit_it(mut self) -> Result<()> {
        match self.send_offsets().await {
            Ok(()) => {}
            Err(error) => return self.abort_because(error).await,
        }
        self.committing = true;
        let Some(client) = self.client() else { return Err(ended()) };
        let committed = client.commit().await;
        self.committing = false;
        let Some(client) = self.client() else { return Err(ended()) };
        match committed {
            Ok(()) => {
                self.parts.iter_mut().for_each(Part::committed);
                self.turn = None;
                Ok(())
            }
            Err(failure) if failure.aborts => {
                let error = client.error("committing it", &failure);
                self.abort_because(error).await
            }
            Err(failure) => {
                let error = client.error("committing it, which may have happened or not", &failure);
                self.parts.iter().for_each(Part::unknown);
                self.give_up_client();
                Err(error)
            }
        }
    }

    /// Sends where the groups stand afterwards.
    async fn send_offsets(&mut self) -> Result<()> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        if self.publishing {
            let text = "a publish in it was dropped before its end";
            return Err(Error::new(ErrorKind::Other, text).help("await what is published in a transaction"));
        }
        for part in &mut self.parts {
            part.bind().await?;
        }
        let client = self.turn.as_ref().and_then(|turn| turn.as_ref()).ok_or_else(ended)?;
        for part in &self.parts {
            if let Some((offsets, member)) = part.offsets()? {
                let sent = client.send_offsets(offsets, member).await;
                sent.map_err(|failure| client.error("settling with it", &failure))?;
            }
        }
        Ok(())
    }

    /// The error tells why, and that nothing of it counts.
    async fn abort_because(mut self, error: Error) -> Result<()> {
        let aborted = self.abort_it().await;
        let error = error.context("the transaction was taken back");
        Err(match aborted {
            Ok(()) => error,
            Err(abort) => error.source(abort),
        })
    }

    async fn abort_it(&mut self) -> Result<()> {
        self.parts.iter_mut().for_each(Part::aborted);
        let Some(client) = self.client() else { return Err(ended()) };
        let aborted = client.abort().await;
        let error = aborted.err().map(|failure| {
            client.error("taking it back, which the broker does after transaction.timeout.ms", &failure)
        });
        match error {
            None => {
                self.turn = None;
                Ok(())
            }
            Some(error) => {
                self.give_up_client();
                Err(error)
            }
        }
    }

    /// The next transaction of the id opens a new one.
    fn give_up_client(&mut self) {
        if let Some(mut turn) = self.turn.take() {
            *turn = None;
        }
    }
}

#[async_trait]
impl Transaction for KafkaTransaction {
    async fn publish(&mut self, batch: Vec<Message>) -> Result<(), Unsent> {
        let Some(client) = self.turn.as_ref().and_then(|turn| turn.as_ref()) else {
            return Err(Unsent::all(batch, Outcome::NotSent, |_| ended()));
        };
        self.publishing = true;
        let published = client.publish(batch).await;
        self.publishing = false;
        published
    }

    async fn settle(&mut self, source: &mut dyn Source, batch: &mut Vec<Settlement>) -> Result<()> {
        let settled = self.settle_it(source, batch);
        if let Err(error) = &settled {
            // Whoever goes on all the same must not commit the half of it.
            self.broken = Some(Error::new(error.kind(), error.to_string()));
        }
        settled
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.end(Self::commit_it).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.end(async |mut this: Self| this.abort_it().await).await
    }
}

impl KafkaTransaction {
    fn settle_it(&mut self, source: &mut dyn Source, batch: &mut Vec<Settlement>) -> Result<()> {
        let any: &mut dyn Any = source;
        let Some(source) = any.downcast_mut::<KafkaSource>() else {
            let text = "the source is not one of Kafka's";
            return Err(Error::new(ErrorKind::Config, text).help("a transaction settles sources of its own transport"));
        };
        let part = source.part()?;
        let known = self.parts.iter().position(|known| known.is_of(&part));
        let index = known.unwrap_or_else(|| {
            self.parts.push(part);
            self.parts.len() - 1
        });
        self.parts[index].settle(batch)
    }
}

impl Drop for KafkaTransaction {
    fn drop(&mut self) {
        if self.committing {
            // With the runtime: the call goes on, on its own thread, and nobody will hear how it ends.
            self.parts.iter().for_each(Part::unknown);
            self.give_up_client();
        }
        if let Some(turn) = self.turn.take() {
            self.parts.iter_mut().for_each(Part::aborted);
            Client::abort_alone(turn);
        }
    }
}

impl fmt::Debug for KafkaTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaTransaction")
            .field("id", &self.id)
            .field("open", &self.turn.is_some())
            .finish_non_exhaustive()
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Closed, "the transaction has ended").help("open another one")
}
