//! Opening a lane: topology, channel, prefetch, consumer.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use gulo_bus_core::{Error, Result};
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};

use super::Feed;
use crate::config::AmqpConfig;
use crate::connection::Link;
use crate::names::{self, LONGEST, queue_of, unread_exchange_of, unread_queue_of};
use crate::topology::Declaring;

/// All that is needed to open a lane, as often as it takes.
#[derive(Clone)]
pub(crate) struct Opening {
    link: Arc<Link>,
    /// Nobody else uses the link.
    alone: bool,
    config: Arc<AmqpConfig>,
    group: Arc<str>,
    topic: Arc<str>,
    queue: String,
    prefetch: u16,
}

/// A channel on which the queue is read.
pub(crate) struct Opened {
    pub(super) channel: Channel,
    pub(super) feed: Feed,
}

impl Opening {
    pub(crate) fn new(
        link: &Arc<Link>,
        config: &Arc<AmqpConfig>,
        group: &Arc<str>,
        topic: Arc<str>,
        window: usize,
    ) -> Arc<Self> {
        let queue = queue_of(&topic, group);
        let (link, config, group) = (link.clone(), config.clone(), group.clone());
        Arc::new(Self { link, alone: false, config, group, topic, queue, prefetch: prefetch(window) })
    }

    pub(crate) fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    pub(crate) fn queue(&self) -> &str {
        &self.queue
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// The same on a connection of its own.
    pub(super) fn alone(opening: &Arc<Self>) -> Arc<Self> {
        if opening.alone {
            return opening.clone();
        }
        let link = Link::new(opening.config.clone(), "consuming one queue");
        Arc::new(Self { link, alone: true, ..Self::clone(opening) })
    }

    /// After a loss: the queue, its topic too, may have been deleted.
    pub(super) fn again(opening: &Arc<Self>) -> BoxFuture<'static, Result<Opened>> {
        let opening = opening.clone();
        Box::pin(async move {
            let mut declaring = Declaring::new(&opening.link, &opening.config);
            declaring.heal(&opening.topic, &opening.group).await?;
            opening.open().await
        })
    }

    /// The queue being there.
    pub(crate) async fn open(&self) -> Result<Opened> {
        self.try_open().await.map_err(|error| error.context(format_args!("queue {}", names::shown(&self.queue))))
    }

    async fn try_open(&self) -> Result<Opened> {
        let keeps = self.keeps().await?;
        let (channel, _) = self.link.channel().await?;
        self.link.within(channel.basic_qos(self.prefetch, BasicQosOptions::default())).await?;
        let queue = short(&self.queue)?;
        let feed = if keeps {
            Feed::kept(&channel, short(unread_queue_of(&self.topic))?, queue)
        } else {
            Feed::Consuming { kept: None, consumer: self.link.within(consume(channel.clone(), queue)).await? }
        };
        Ok(Opened { channel, feed })
    }

    /// Whether the topic keeps what no group reads. A queue of its name alone says nothing: it may be anybody's.
    async fn keeps(&self) -> Result<bool> {
        // There is none whose name would be too long.
        if unread_exchange_of(&self.topic).len() > LONGEST {
            return Ok(false);
        }
        let mut declaring = Declaring::new(&self.link, &self.config);
        if !declaring.exchange(&unread_exchange_of(&self.topic)).await? {
            return Ok(false);
        }
        if self.config.declares {
            declaring.keep_no_more(&self.topic).await?;
        }
        Ok(declaring.queue(unread_queue_of(&self.topic)).await?.is_some_and(|found| found.messages > 0))
    }
}

/// As many as may be out. More than two bytes can say is no prefetch any more: the window itself holds them back.
pub(super) fn prefetch(window: usize) -> u16 {
    u16::try_from(window).unwrap_or(u16::MAX)
}

pub(super) fn consume(channel: Channel, queue: ShortString) -> BoxFuture<'static, lapin::Result<Consumer>> {
    Box::pin(async move {
        let options = BasicConsumeOptions::default();
        channel.basic_consume(queue, ShortString::default(), options, FieldTable::default()).await
    })
}

fn short(name: &str) -> Result<ShortString> {
    ShortString::try_new(name).map_err(|_| Error::new(gulo_bus_core::ErrorKind::Config, "a name is too long"))
}
