//! From a description to a running bus: everything that can be known to be wrong is said at `start()`.

mod check;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::bus::health::{Board, Monitor, Watchdog, stamped};
use crate::bus::limits::Limits;
use crate::bus::process::{Processor, Routes};
use crate::bus::publishing::{Publish, Publishing};
use crate::bus::report::Gauge;
use crate::bus::runner::{Runner, Stop};
use crate::bus::subscription::Subscription;
use crate::bus::{Bus, Running};
use crate::error::{Error, ErrorKind, Result};
use crate::handler::StateMap;
use crate::layer::Layer;
use crate::transport::{
    Capability, GroupSpec, Source, SubscribeSpec, TopicSpec, Topics, Topology, TopologyMode, Transport,
};

/// Describes a bus; [`start`](Self::start) connects it.
#[must_use = "a bus is only running after `start()`"]
pub struct BusBuilder {
    service: Arc<str>,
    transport: Option<Arc<dyn Transport>>,
    topics: BTreeMap<Arc<str>, TopicSettings>,
    topology: TopologyMode,
    subscriptions: Vec<Subscription>,
    layers: Vec<Arc<dyn Layer>>,
    states: StateMap,
    limits: Limits,
    required: Vec<Capability>,
}

/// How a topic is made where it does not exist. One that exists is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicSettings {
    partitions: Option<u32>,
    replication: Option<u16>,
    settings: Vec<(String, String)>,
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

    /// With a setting in the broker's own words: `retention.ms`, ..
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }
}

impl BusBuilder {
    pub(super) fn new(service: Arc<str>) -> Self {
        Self {
            service,
            transport: None,
            topics: BTreeMap::new(),
            topology: TopologyMode::Create,
            subscriptions: Vec::new(),
            layers: Vec::new(),
            states: StateMap::default(),
            limits: Limits::default(),
            required: Vec::new(),
        }
    }

    /// The broker. Changing this line changes nothing else.
    pub fn transport(self, transport: impl Transport) -> Self {
        self.shared_transport(Arc::new(transport))
    }

    /// The broker, shared with others.
    pub fn shared_transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Names a topic that the bus uses, so that it is made or checked at `start()`. Needed for topics that are only
    /// published to; those of handlers and of dead letters are known.
    pub fn topic(mut self, name: impl Into<Arc<str>>, settings: impl FnOnce(TopicSettings) -> TopicSettings) -> Self {
        self.topics.insert(name.into(), settings(TopicSettings::default()));
        self
    }

    /// Whether missing topics are made or only named. [`TopologyMode::Create`] unless said.
    pub fn topology(mut self, mode: TopologyMode) -> Self {
        self.topology = mode;
        self
    }

    /// Adds a group of handlers.
    pub fn subscribe(mut self, subscription: Subscription) -> Self {
        self.subscriptions.push(subscription);
        self
    }

    /// Puts a layer around every call of every group's handlers, outside of the group's own; the first one is the outermost.
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// As [`layer`](Self::layer), and outside of those that are there: for who looks on, and must see what the bus sees.
    #[doc(hidden)]
    pub fn outermost_layer(mut self, layer: impl Layer) -> Self {
        self.layers.insert(0, Arc::new(layer));
        self
    }

    /// A value for handlers to take as `State<S>`. One of each type.
    pub fn state<S: Clone + Send + Sync + 'static>(mut self, state: S) -> Self {
        self.states.insert(state);
        self
    }

    /// How large events may be.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Refuses to start on a transport that lacks `capability`, for a program that relies on it.
    pub fn require(mut self, capability: Capability) -> Self {
        self.required.push(capability);
        self
    }

    /// Checks the description, makes or checks the topics, connects, and begins to handle.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) for what contradicts itself, [`Unsupported`](ErrorKind::Unsupported) naming the
    /// capability that the transport lacks, [`Missing`](ErrorKind::Missing) naming all topics that are, and what the
    /// transport says when it cannot connect. Nothing runs after an error.
    pub async fn start(self) -> Result<Bus> {
        let transport = check::transport(self.transport.as_ref())?;
        check::subscriptions(&self.subscriptions, &self.states)?;
        check::capabilities(&*transport, &self.required, &self.subscriptions)?;
        transport.ensure(&self.needed()).await.map_err(|error| match error.kind() {
            ErrorKind::Missing => error.help("make them, or let the bus do it with `.topology(TopologyMode::Create)`"),
            _ => error,
        })?;
        let publisher = transport.publisher().await?;
        let mut opened: Vec<(Subscription, SubscribeSpec, Box<dyn Source>)> = Vec::new();
        for subscription in self.subscriptions {
            let spec = spec_of(&subscription);
            let source = transport.subscribe(spec.clone()).await;
            let source = source.map_err(|error| error.context(format_args!("group {}", subscription.group)))?;
            tracing::info!(group = %subscription.group, topics = ?subscription.topics(), "subscribed");
            opened.push((subscription, spec, source));
        }
        let (stop, stopping) = watch::channel(None);
        let publishing = Arc::new(Publishing { source: self.service, limits: self.limits, publisher });
        let states = Arc::new(self.states);
        let layers = &self.layers;
        let launch = Launch { transport: &transport, states: &states, layers, publishing: &publishing, stopping };
        let subscriptions: Vec<Running> = opened.into_iter().map(|opened| launch.spawn(opened)).collect();
        let groups = subscriptions.iter().map(Running::to_look_at).collect();
        let monitor = Monitor { transport, groups };
        let watchdog = Watchdog::spawn(monitor.clone());
        Ok(Bus { publishing, stop, subscriptions, monitor, _watchdog: watchdog, shut_down: false })
    }

    fn needed(&self) -> Topology {
        let mut names: BTreeSet<Arc<str>> = self.topics.keys().cloned().collect();
        let mut groups = Vec::new();
        for subscription in &self.subscriptions {
            let topics = subscription.topics();
            names.extend(topics.iter().cloned());
            groups.push(GroupSpec { group: Arc::clone(&subscription.group), topics: Topics::Named(topics) });
        }
        let mut topics: Vec<_> = names.into_iter().map(|name| self.topic_spec(name)).collect();
        topics.extend(self.dead_letter_topics());
        Topology { mode: self.topology, topics, groups }
    }

    /// Each kept: nobody reads them until somebody looks.
    fn dead_letter_topics(&self) -> impl Iterator<Item = TopicSpec> {
        let of_group = |subscription: &Subscription| {
            let (group, policy) = (Arc::clone(&subscription.group), subscription.dead_letter.clone());
            subscription.topics().into_iter().filter_map(move |topic| policy.topic_for(&topic, &group))
        };
        self.subscriptions.iter().flat_map(of_group).map(|name| TopicSpec { keep: true, ..self.topic_spec(name) })
    }

    fn topic_spec(&self, name: Arc<str>) -> TopicSpec {
        let TopicSettings { partitions, replication, settings } = self.topics.get(&name).cloned().unwrap_or_default();
        TopicSpec { name, partitions, replication, keep: false, settings }
    }
}

fn spec_of(subscription: &Subscription) -> SubscribeSpec {
    let usual = SubscribeSpec::group(Arc::clone(&subscription.group), subscription.topics());
    SubscribeSpec {
        start: subscription.start,
        commit: subscription.commit,
        window: subscription.window.unwrap_or(usual.window),
        ..usual
    }
}

/// What the tasks of all subscriptions share.
struct Launch<'a> {
    transport: &'a Arc<dyn Transport>,
    states: &'a Arc<StateMap>,
    layers: &'a [Arc<dyn Layer>],
    publishing: &'a Arc<Publishing>,
    stopping: watch::Receiver<Option<Stop>>,
}

impl Launch<'_> {
    fn spawn(&self, (subscription, spec, source): (Subscription, SubscribeSpec, Box<dyn Source>)) -> Running {
        let gauge = Arc::new(Gauge::new(Board::new(subscription.stall_after)));
        let pace = (subscription.concurrency, subscription.capacity());
        let processor = Arc::new(Processor {
            group: Arc::clone(&subscription.group),
            routes: Routes::new(&subscription.handlers),
            layers: self.layers.iter().cloned().chain(subscription.layers).collect(),
            retry: subscription.retry,
            dead_letter: subscription.dead_letter,
            unhandled: subscription.unhandled,
            states: Arc::clone(self.states),
            publish: Publish(Arc::clone(self.publishing)),
            publisher: Arc::clone(&self.publishing.publisher),
            gauge: Arc::clone(&gauge),
        });
        let runner = Runner::new(Arc::clone(self.transport), spec, processor, pace, self.stopping.clone(), source);
        let task = tokio::spawn(stamped(Arc::clone(&subscription.group), Arc::clone(&gauge), runner.run()));
        Running { group: subscription.group, gauge, task }
    }
}

impl fmt::Debug for BusBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusBuilder")
            .field("service", &self.service)
            .field("transport", &self.transport.as_ref().map(|transport| transport.name()))
            .field("topics", &self.topics)
            .field("subscriptions", &self.subscriptions)
            .finish_non_exhaustive()
    }
}

fn config(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}
