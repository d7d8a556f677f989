//! Making what is missing of a topology, or naming it. Whether something is there is asked for by a passive declaration,
//! which closes its channel where the answer is no: hence a channel for each question that may be answered so.

mod delays;
mod existing;

use std::sync::Arc;

use gulo_bus_core::transport::{Capability, GroupSpec, TopicSpec, Topics, Topology, TopologyMode};
use gulo_bus_core::{Error, ErrorKind, Result};
use lapin::options::{ExchangeDeclareOptions, ExchangeUnbindOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use crate::NAME;
use crate::config::{AmqpConfig, ExchangeType, QueueArgument, QueueType};
use crate::connection::Link;
use crate::delay;
use crate::error;
use crate::names::{self, listed, queue_of, unread_exchange_of, unread_queue_of};
use crate::transport::capabilities;

use existing::lacks;

/// A delivery limit that is never reached. RabbitMQ from 4.0 on deletes a message, silently, after 20 returns to its quorum
/// queue, which a consumer that restarts a few times with a full window has made of every message in it; versions before
/// 4.0 know no number for "never".
const NEVER: i32 = i32::MAX;

/// The other side of a binding that nobody has made: an exchange that every broker has.
const NOBODYS: &str = "amq.fanout";

/// Asks and makes.
pub(crate) struct Declaring {
    link: Arc<Link>,
    config: Arc<AmqpConfig>,
    channel: Option<Channel>,
}

/// What [`Declaring::queue`] says of a queue that is there.
pub(crate) struct Found {
    /// Messages that wait in it.
    pub(crate) messages: u32,
}

pub(crate) async fn ensure(link: &Arc<Link>, config: &Arc<AmqpConfig>, topology: &Topology) -> Result<()> {
    topology.topics.iter().try_for_each(|topic| check_topic(config, topic))?;
    topology.groups.iter().try_for_each(|group| check_group(config, group))?;
    let mut declaring = Declaring::new(link, config);
    declaring.require_dead_letter_exchange(topology).await?;
    if topology.mode == TopologyMode::Create && config.declares {
        return declaring.create(topology).await;
    }
    let missing = declaring.missing(topology).await?;
    if missing.is_empty() { Ok(()) } else { Err(lacks(&missing, config.declares)) }
}

/// Named topics that are not there, as one error.
pub(crate) fn no_such_topics(missing: &[Arc<str>]) -> Error {
    Error::new(ErrorKind::Missing, format!("no such topic: {}", listed(missing)))
        .help("create what is missing with `ensure`")
}

/// Topics that are published to with a delay.
fn delayed(topology: &Topology) -> impl Iterator<Item = &Arc<str>> {
    topology.topics.iter().filter(|topic| topic.delayed.is_some()).map(|topic| &topic.name)
}

fn check_topic(config: &AmqpConfig, topic: &TopicSpec) -> Result<()> {
    names::check_topics([&topic.name])?;
    if let Some(longest) = topic.delayed {
        delay::check_topic(&topic.name)?;
        delay::check(longest).map_err(|error| error.context(format_args!("topic `{}`", topic.name)))?;
    }
    match topic.partitions {
        Some(0) => {
            let problem = format!("topic `{}` cannot have 0 partitions", topic.name);
            return Err(Error::new(ErrorKind::Config, problem).help("give it 1, or say nothing of them"));
        }
        Some(2..) => {
            let can = capabilities(config).require(NAME, Capability::Partitions);
            can.map_err(|error| error.context(format_args!("topic `{}`", topic.name)))?;
        }
        _ => {}
    }
    if !topic.settings.is_empty() {
        // They are another broker's words: a program that runs on that one shall run here too.
        tracing::debug!(topic = %topic.name, "RabbitMQ knows no settings of topics; left out");
    }
    Ok(())
}

fn check_group(config: &AmqpConfig, group: &GroupSpec) -> Result<()> {
    let names = named(&group.topics, config).map_err(|error| error.context(format_args!("group `{}`", group.group)))?;
    names::check_topics(names)?;
    names::check_group(&group.group, names)
}

/// The names of `topics`; there are no patterns here.
pub(crate) fn named<'a>(topics: &'a Topics, config: &AmqpConfig) -> Result<&'a [Arc<str>]> {
    match topics {
        Topics::Named(names) => Ok(names),
        Topics::Pattern(_) => capabilities(config).require(NAME, Capability::Patterns).map(|()| &[][..]),
    }
}

impl Declaring {
    pub(crate) fn new(link: &Arc<Link>, config: &Arc<AmqpConfig>) -> Self {
        Self { link: link.clone(), config: config.clone(), channel: None }
    }

    async fn create(&mut self, topology: &Topology) -> Result<()> {
        for topic in &topology.topics {
            self.make_topic(&topic.name, topic.keep).await?;
        }
        for GroupSpec { group, topics } in &topology.groups {
            for topic in named(topics, &self.config.clone())? {
                self.make_topic(topic, false).await?;
                self.compare_queue(&queue_of(topic, group)).await?;
                self.make_queue(topic, group).await?;
            }
        }
        for (index, topic) in delayed(topology).enumerate() {
            self.make_delays(topic, index > 0).await?;
        }
        Ok(())
    }

    /// One that is there is left as it is, whatever its kind.
    async fn make_topic(&mut self, topic: &str, keep: bool) -> Result<()> {
        if self.exchange(topic).await? {
            return if keep { self.keep_from_now_on(topic).await } else { Ok(()) };
        }
        let mut arguments = FieldTable::default();
        if keep {
            self.make_unread(topic).await?;
            arguments.insert("alternate-exchange".into(), text(&unread_exchange_of(topic)));
        }
        let kind = match self.config.exchange_type {
            ExchangeType::Fanout => ExchangeKind::Fanout,
            ExchangeType::Topic => ExchangeKind::Topic,
        };
        self.declare_exchange(topic, kind, arguments).await
    }

    /// An exchange gets its alternate when it is made, or never. One that has none gives all of its messages to the queue of
    /// what is unread, until a group reads it.
    async fn keep_from_now_on(&mut self, topic: &str) -> Result<()> {
        let is_kept = self.exchange(&unread_exchange_of(topic)).await?;
        // The queue may have been deleted since, by who was done with what was in it.
        self.make_unread(topic).await?;
        if is_kept { Ok(()) } else { self.bind(unread_queue_of(topic), topic).await }
    }

    /// From now on a group's queue takes what `topic` gets.
    pub(crate) async fn keep_no_more(&mut self, topic: &str) -> Result<()> {
        let channel = self.channel().await?;
        let (queue, exchange) = (short(unread_queue_of(topic))?, short(topic)?);
        let unbound = self.in_time(channel.queue_unbind(queue, exchange, "#".into(), FieldTable::default())).await?;
        self.done(unbound)
    }

    /// Where messages go that no group's queue takes.
    async fn make_unread(&mut self, topic: &str) -> Result<()> {
        let (exchange, queue) = (unread_exchange_of(topic), unread_queue_of(topic));
        if !self.exchange(&exchange).await? {
            self.declare_exchange(&exchange, ExchangeKind::Fanout, FieldTable::default()).await?;
        }
        if self.queue(queue).await?.is_none() {
            let arguments = self.queue_arguments(false);
            self.declare_queue(queue, arguments).await?;
        }
        self.bind(queue, &exchange).await
    }

    /// The queue of a group, bound.
    pub(crate) async fn make_queue(&mut self, topic: &str, group: &str) -> Result<()> {
        let queue = queue_of(topic, group);
        if self.queue(&queue).await?.is_none() {
            let arguments = self.queue_arguments(self.config.single_active_consumer);
            self.declare_queue(&queue, arguments).await?;
        }
        self.bind(&queue, topic).await
    }

    /// After a loss: what was deleted meanwhile is made again where that is allowed.
    pub(crate) async fn heal(&mut self, topic: &str, group: &str) -> Result<()> {
        if self.config.declares {
            self.make_topic(topic, false).await?;
        }
        self.open_queue(topic, group).await
    }

    /// The queue of a group, ready to be read: made where that is allowed.
    pub(crate) async fn open_queue(&mut self, topic: &str, group: &str) -> Result<()> {
        if self.config.declares {
            return self.make_queue(topic, group).await;
        }
        let queue = queue_of(topic, group);
        if self.queue(&queue).await?.is_some() {
            return Ok(());
        }
        Err(lacks(&[format!("queue {} of group {}", names::shown(&queue), names::shown(group))], false))
    }

    fn queue_arguments(&self, single: bool) -> FieldTable {
        let mut arguments = FieldTable::default();
        match self.config.queue_type {
            QueueType::Quorum => {
                arguments.insert("x-queue-type".into(), text("quorum"));
                arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(NEVER));
            }
            QueueType::Classic => drop(arguments.insert("x-queue-type".into(), text("classic")).clone()),
        }
        if single {
            arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
        }
        if let Some(exchange) = &self.config.dead_letter_exchange {
            arguments.insert("x-dead-letter-exchange".into(), text(exchange));
        }
        for (name, value) in &self.config.queue_arguments {
            let value = match value {
                QueueArgument::Text(said) => text(said),
                QueueArgument::Integer(number) => AMQPValue::LongLongInt(*number),
                QueueArgument::Flag(flag) => AMQPValue::Boolean(*flag),
            };
            arguments.insert((&**name).into(), value);
        }
        arguments
    }

    /// Whether the exchange is there.
    pub(crate) async fn exchange(&mut self, name: &str) -> Result<bool> {
        let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
        // The kind is not looked at.
        let declared = self.declare(name, ExchangeKind::Fanout, options, FieldTable::default()).await?;
        self.is_there(declared).map(|found| found.is_some())
    }

    /// Why nothing may be published to the exchange, which is there. That it may not be written to the broker says of a publish
    /// by ending the channel, and with it the confirms of all that is on its way; so it is asked something that takes the same
    /// right and does nothing: to undo a binding that nobody has made.
    pub(crate) async fn refusal(&mut self, exchange: &str) -> Result<Option<Error>> {
        let channel = self.channel().await?;
        let (options, none) = (ExchangeUnbindOptions::default(), FieldTable::default());
        let asking = channel.exchange_unbind(short(exchange)?, NOBODYS.into(), NOBODYS.into(), options, none);
        match self.in_time(asking).await? {
            Ok(()) => Ok(None),
            Err(refusal) => {
                self.channel = None;
                let is_meant = error::is_refused(&refusal) && error::exchange_named(&refusal) == Some(exchange);
                // What it has against the other side of the binding says that this one may be written to.
                if is_meant || !refusal.is_amqp_soft_error() {
                    let told = self.link.told(&refusal).context(format_args!("topic {}", names::shown(exchange)));
                    return if is_meant { Ok(Some(told)) } else { Err(told) };
                }
                Ok(None)
            }
        }
    }

    /// The queue, if it is there.
    pub(crate) async fn queue(&mut self, name: &str) -> Result<Option<Found>> {
        let channel = self.channel().await?;
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let asking = channel.queue_declare(short(name)?, options, FieldTable::default());
        let declared = self.in_time(asking).await?;
        Ok(self.is_there(declared)?.map(|queue| Found { messages: queue.message_count() }))
    }

    async fn declare_exchange(&mut self, name: &str, kind: ExchangeKind, arguments: FieldTable) -> Result<()> {
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let declared = self.declare(name, kind, options, arguments).await?;
        self.done(declared).map_err(|error| error.context(format_args!("topic {}", names::shown(name))))
    }

    async fn declare(
        &mut self,
        name: &str,
        kind: ExchangeKind,
        options: ExchangeDeclareOptions,
        arguments: FieldTable,
    ) -> Result<lapin::Result<()>> {
        let channel = self.channel().await?;
        self.in_time(channel.exchange_declare(short(name)?, kind, options, arguments)).await
    }

    async fn declare_queue(&mut self, name: &str, arguments: FieldTable) -> Result<()> {
        let channel = self.channel().await?;
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        let declared = self.in_time(channel.queue_declare(short(name)?, options, arguments)).await?;
        self.done(declared).map(drop).map_err(|error| error.context(format_args!("queue {}", names::shown(name))))
    }

    /// By what to a fanout says nothing, and to a topic exchange everything.
    async fn bind(&mut self, queue: &str, exchange: &str) -> Result<()> {
        self.bind_by(queue, exchange, "#").await
    }

    async fn bind_by(&mut self, queue: &str, exchange: &str, key: &str) -> Result<()> {
        let channel = self.channel().await?;
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        let binding = channel.queue_bind(short(queue)?, short(exchange)?, short(key)?, options, none);
        let bound = self.in_time(binding).await?;
        let context = |error: Error| {
            error.context(format_args!("binding queue {} to topic {}", names::shown(queue), names::shown(exchange)))
        };
        self.done(bound).map_err(context)
    }

    async fn channel(&mut self) -> Result<Channel> {
        if let Some(channel) = self.channel.as_ref().filter(|channel| channel.status().connected()) {
            return Ok(channel.clone());
        }
        let (channel, _) = self.link.channel().await?;
        self.channel = Some(channel.clone());
        Ok(channel)
    }

    /// The outer error is that of time.
    async fn in_time<T>(&self, asking: impl Future<Output = lapin::Result<T>>) -> Result<lapin::Result<T>> {
        self.link.within(async { Ok(asking.await) }).await
    }

    fn is_there<T>(&mut self, declared: lapin::Result<T>) -> Result<Option<T>> {
        match declared {
            Ok(found) => Ok(Some(found)),
            Err(refusal) if error::is_missing(&refusal) => {
                self.channel = None;
                Ok(None)
            }
            Err(refusal) => self.done(Err(refusal)),
        }
    }

    fn done<T>(&mut self, declared: lapin::Result<T>) -> Result<T> {
        declared.map_err(|refusal| {
            self.channel = None;
            self.link.told(&refusal)
        })
    }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn short(name: &str) -> Result<ShortString> {
    ShortString::try_new(name).map_err(|_| {
        Error::new(ErrorKind::Config, format!("{} is too long a name", names::shown(name)))
            .help(format!("AMQP takes {} bytes", names::LONGEST))
    })
}
