//! What an application says about one topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config;
use crate::bus::format::TopicFormat;
use crate::codec::AnyCodec;
use crate::envelope::Envelope;
use crate::error::{ErrorKind, Result, shown};
use crate::panic::caught;
use crate::routing::TopicNaming;
use crate::transport::TopicSpec;

/// How a topic is made where it does not exist (one that exists is left as it is), and how events lie in it.
///
/// ```
/// # use gulo_bus_core::bus::Bus;
/// # use gulo_bus_core::codec::{Json, Raw};
/// # use gulo_bus_core::envelope::Envelope;
/// let bus = Bus::builder("user-service")
///     .topic("users", |t| t.partitions(12).replication(3).setting("retention.ms", "604800000"))
///     .topic("photos", |t| t.codec(Raw))
///     .topic("partners", |t| t.codec(Json).envelope(Envelope::CloudEventsStructured))
///     .topic("strict", |t| t.reads_nothing_else());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicSettings {
    partitions: Option<u32>,
    replication: Option<u16>,
    settings: Vec<(String, String)>,
    pub(super) format: TopicFormat,
}

impl TopicSettings {
    /// With this many partitions; the broker's default unless said.
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// With this many replicas; the broker's default unless said.
    #[must_use]
    pub fn replication(mut self, replicas: u16) -> Self {
        self.replication = Some(replicas);
        self
    }

    /// With a setting in the broker's own words:
    /// [`retention.ms`](https://kafka.apache.org/documentation/#topicconfigs), ..
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Events are written by this [codec](crate::codec), and what does not say what it is is read by it. JSON unless
    /// said.
    ///
    /// A topic may change its codec while it is in use: JSON and MessagePack (where the feature is there) are read by
    /// their content type whatever is written. A codec of your own has to be [named](Self::reads) by those who read
    /// before it is used by those who write.
    #[must_use]
    pub fn codec(mut self, codec: impl Into<AnyCodec>) -> Self {
        self.format.codec = codec.into();
        self
    }

    /// Payloads that say they are of this codec are read too. JSON and MessagePack need not be named, but after
    /// [`reads_nothing_else`](Self::reads_nothing_else).
    #[must_use]
    pub fn reads(mut self, codec: impl Into<AnyCodec>) -> Self {
        self.format.reads.push(codec.into());
        self
    }

    /// Nothing is read but the topic's own codec and what [`reads`](Self::reads) names after this: what says it is
    /// something else becomes a dead letter.
    #[must_use]
    pub fn reads_nothing_else(mut self) -> Self {
        self.format.reads.clear();
        self.format.reads_usual = false;
        self
    }

    /// What is known of an event is written in this [envelope](crate::envelope), which is read too.
    /// [`Envelope::CloudEvents`] unless said.
    #[must_use]
    pub const fn envelope(mut self, envelope: Envelope) -> Self {
        self.format.envelope = envelope;
        self
    }

    /// Messages in this envelope are read too; any number may be named. The one that is written, those of CloudEvents that say
    /// so, and bare messages need not be.
    #[must_use]
    pub const fn reads_envelope(mut self, envelope: Envelope) -> Self {
        self.format.also = self.format.also.and(envelope);
        self
    }

    pub(super) fn spec(self, name: Arc<str>) -> TopicSpec {
        let Self { partitions, replication, settings, .. } = self;
        TopicSpec { name, partitions, replication, keep: false, delayed: None, settings }
    }
}

/// The topics that a program describes, by their names on the broker. What is said of one must not be lost to another.
pub(super) fn on_broker(
    topics: &BTreeMap<Arc<str>, TopicSettings>,
    naming: &TopicNaming,
) -> Result<BTreeMap<Arc<str>, TopicSettings>> {
    let mut named: BTreeMap<Arc<str>, (&Arc<str>, &TopicSettings)> = BTreeMap::new();
    for (name, settings) in topics {
        let what = format_args!("naming the topic `{}`", shown(name));
        let topic = caught(ErrorKind::Config, what, || naming.name(name))?;
        let (first, said) = named.entry(Arc::clone(&topic)).or_insert((name, settings));
        if *said != settings {
            let problem = format!("`{first}` and `{name}` are both the topic `{topic}`, and are described differently");
            return Err(config(problem).help("describe it once, or let the naming tell them apart"));
        }
    }
    Ok(named.into_iter().map(|(topic, (_, settings))| (topic, settings.clone())).collect())
}
