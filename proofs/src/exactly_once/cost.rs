//! What a transaction costs: messages read, published and settled in pieces, by transactions and without.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gulo::message::Message;
use gulo::prelude::*;
use gulo::settle::Settlement;
use gulo::transport::{CommitPolicy, Inbox, SubscribeSpec, Transport};
use serde::Serialize;
use tokio::time::timeout;

use super::Places;
use crate::Trouble;

/// For so long each is measured.
const TIME: Duration = Duration::from_secs(3);

/// Messages a second, in pieces of so many.
#[derive(Debug, Serialize)]
pub(super) struct Cost {
    piece: usize,
    in_transactions: u64,
    at_least_once: u64,
}

impl Cost {
    pub(super) fn piece(&self) -> usize {
        self.piece
    }
}

pub(super) async fn measure(places: &Places) -> Result<Vec<Cost>, Trouble> {
    let mut costs = Vec::new();
    for piece in [1, 100, 1000] {
        let in_transactions = rate(places, piece, true).await?;
        costs.push(Cost { piece, in_transactions, at_least_once: rate(places, piece, false).await? });
    }
    Ok(costs)
}

async fn rate(places: &Places, piece: usize, transactional: bool) -> Result<u64, Trouble> {
    let transport = KafkaTransport::new(KafkaConfig::from_env()?.linger(Duration::ZERO));
    let name = format!("{}-cost-{piece}-{transactional}", places.run);
    let output: Arc<str> = Arc::clone(&places.output);
    let publisher = transport.publisher().await?;
    let mut spec = SubscribeSpec::group(name.as_str(), [Arc::clone(&places.input)]);
    spec.commit = CommitPolicy { every: piece, interval: Duration::from_secs(1) };
    let mut source = transport.subscribe(spec).await?;
    let (mut inbox, mut begun, mut last, mut count) = (Inbox::default(), None, Instant::now(), 0);
    while begun.is_none_or(|begun: Instant| begun.elapsed() < TIME) {
        // The input may come to its end before the time does.
        let room = piece - inbox.deliveries.len();
        match timeout(TIME, source.recv(&mut inbox, room)).await {
            Ok(received) => received?,
            Err(_) => break,
        }
        inbox.events.clear();
        if inbox.deliveries.len() < piece {
            continue;
        }
        let taken: Vec<_> = inbox.deliveries.drain(..).collect();
        // The first piece opens the producer.
        count += if begun.is_some() { taken.len() } else { 0 };
        let mut done = taken.iter().map(|delivery| Settlement::done(delivery.token)).collect();
        let results: Vec<_> =
            taken.into_iter().map(|delivery| Message { topic: Arc::clone(&output), ..delivery.message }).collect();
        if transactional {
            let mut transaction = transport.transaction(&name).await?;
            transaction.publish(results).await.map_err(|unsent| unsent.to_string())?;
            transaction.settle(&mut *source, &mut done).await?;
            transaction.commit().await?;
        } else {
            publisher.publish(results).await.map_err(|unsent| unsent.to_string())?;
            source.settle(&mut done)?;
        }
        last = Instant::now();
        begun.get_or_insert(last);
    }
    source.close(tokio::time::Instant::now() + Duration::from_secs(5)).await?;
    let took = begun.map(|begun| last.duration_since(begun).as_secs_f64()).unwrap_or_default();
    Ok((count as f64 / took.max(0.001)) as u64)
}
