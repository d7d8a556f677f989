//! What delayed messages wait in, made when the first one is published: who never delays has none of it.

use gulo_bus_core::{Error, Result};
use lapin::ExchangeKind;
use lapin::options::ExchangeBindOptions;
use lapin::types::{AMQPValue, FieldTable};

use super::{Declaring, NEVER, lacks, short, text};
use crate::delay::{self, DELIVERY, LEVELS, UNDELIVERED};
use crate::names;

impl Declaring {
    /// What messages of `topic`, which is there, need to be delayed; `levels` are known to be there or not. It is made where
    /// that is allowed, and else looked for.
    pub(crate) async fn delays(&mut self, topic: &str, levels: bool) -> Result<()> {
        if self.config.declares {
            return self.make_delays(topic, levels).await;
        }
        let missing = self.missing_delays(topic, levels).await?;
        if missing.is_empty() { Ok(()) } else { Err(lacks(&missing, false)) }
    }

    pub(super) async fn make_delays(&mut self, topic: &str, levels: bool) -> Result<()> {
        let context = |error: Error| error.context("what delays messages");
        if !levels {
            self.make_levels().await.map_err(context)?;
        }
        self.make_outbox(topic).await.map_err(context)
    }

    /// All of it, without asking before: what is there already is the same. So a part that was deleted is made again.
    async fn make_levels(&mut self) -> Result<()> {
        let mut kept = FieldTable::default();
        kept.insert("x-queue-type".into(), text("quorum"));
        kept.insert("x-delivery-limit".into(), AMQPValue::LongInt(NEVER));
        self.declare_exchange(UNDELIVERED, ExchangeKind::Fanout, FieldTable::default()).await?;
        self.declare_queue(UNDELIVERED, kept).await?;
        self.bind(UNDELIVERED, UNDELIVERED).await?;
        let mut arguments = FieldTable::default();
        arguments.insert("alternate-exchange".into(), text(UNDELIVERED));
        self.declare_exchange(DELIVERY, ExchangeKind::Topic, arguments).await?;
        // From below: whoever finds a level finds all that is under it.
        for level in 0..LEVELS {
            let (own, below) = (delay::level(level), delay::below(level));
            self.declare_exchange(&own, ExchangeKind::Topic, FieldTable::default()).await?;
            self.declare_queue(&own, waiting(delay::waits_ms(level), &below)).await?;
            self.bind_by(&own, &own, &delay::pattern(level, 1)).await?;
            self.lead(&own, &below, &delay::pattern(level, 0)).await?;
        }
        Ok(())
    }

    /// A queue of its own, without any wait, for each topic. What its exchange finds no queue for, or a full one, is tried again
    /// by RabbitMQ, 32 at a time of each queue that it comes out of: out of a level it would hold up all topics.
    async fn make_outbox(&mut self, topic: &str) -> Result<()> {
        let outbox = delay::outbox_of(topic);
        self.declare_queue(&outbox, waiting(0, topic)).await?;
        self.bind_by(&outbox, DELIVERY, &delay::delivery_pattern(topic)).await
    }

    /// What of it is not there.
    pub(super) async fn missing_delays(&mut self, topic: &str, levels: bool) -> Result<Vec<String>> {
        let (mut exchanges, mut queues) = (Vec::new(), vec![delay::outbox_of(topic)]);
        if !levels {
            exchanges.extend((0..LEVELS).map(delay::level).chain([DELIVERY.into(), UNDELIVERED.into()]));
            queues.extend((0..LEVELS).map(delay::level).chain([UNDELIVERED.into()]));
        }
        let mut missing = Vec::new();
        for exchange in exchanges {
            if !self.exchange(&exchange).await? {
                missing.push(format!("exchange {}", names::shown(&exchange)));
            }
        }
        for queue in queues {
            if self.queue(&queue).await?.is_none() {
                missing.push(format!("queue {}", names::shown(&queue)));
            }
        }
        Ok(missing)
    }

    /// What comes to one exchange by a key goes on to the other.
    async fn lead(&mut self, from: &str, to: &str, key: &str) -> Result<()> {
        let channel = self.channel().await?;
        let (options, none) = (ExchangeBindOptions::default(), FieldTable::default());
        let binding = channel.exchange_bind(short(to)?, short(from)?, short(key)?, options, none);
        let bound = self.in_time(binding).await?;
        let context = |error: Error| {
            error.context(format_args!("binding exchange {} to {}", names::shown(to), names::shown(from)))
        };
        self.done(bound).map_err(context)
    }
}

/// A queue out of which everything goes to `exchange` after a while. It lets go of a message when all queues there have it, and
/// not before.
fn waiting(millis: u64, exchange: &str) -> FieldTable {
    let mut arguments = FieldTable::default();
    for (name, value) in [
        ("x-queue-type", text("quorum")),
        ("x-message-ttl", AMQPValue::LongLongInt(i64::try_from(millis).unwrap_or(i64::MAX))),
        ("x-dead-letter-exchange", text(exchange)),
        ("x-dead-letter-strategy", text("at-least-once")),
        // What the strategy takes; no length is set.
        ("x-overflow", text("reject-publish")),
        ("x-delivery-limit", AMQPValue::LongInt(NEVER)),
    ] {
        arguments.insert(name.into(), value);
    }
    arguments
}
