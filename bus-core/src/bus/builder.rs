//! From a description to a running bus: everything that can be known to be wrong is said at `start()`.

mod check;
mod groups;
mod later;
mod letters;
mod topic;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::bus::destinations::Destinations;
use crate::bus::format::Formats;
use crate::bus::health::{Board, Monitor, Watchdog, stamped};
use crate::bus::limits::Limits;
use crate::bus::process::{Later, Processor, Routes};
use crate::bus::publishing::{Publish, Publishing, Room};
use crate::bus::report::Gauge;
use crate::bus::runner::{Runner, Stop};
use crate::bus::subscription::Subscription;
use crate::bus::{Bus, Running};
use crate::error::{Error, ErrorKind, Result};
use crate::handler::StateMap;
use crate::layer::Layer;
use crate::retry_later::RetryLater;
use crate::routing::{PartitionKey, TopicNaming};
use crate::transport::{Capability, GroupSpec, Source, TopicSpec, Topology, TopologyMode, Transport};

use groups::Group;
use letters::Letters;
pub use topic::TopicSettings;

/// Describes a bus; [`start`](Self::start) connects it.
///
/// ```
/// # use gulo_bus_core::event::IntegrationEvent;
/// # #[derive(serde::Serialize, serde::Deserialize)] struct UserRegistered { email: String }
/// # impl IntegrationEvent for UserRegistered { const TYPE: &'static str = "user.registered"; }
/// # use gulo_bus_core::bus::{Bus, Subscription};
/// # use gulo_bus_core::handler::{Event, State};
/// # use gulo_bus_core::transport::{TopologyMode, Transport};
/// # #[derive(Clone)] struct Mailer;
/// # async fn send_welcome(_: Event<UserRegistered>, _: State<Mailer>) {}
/// # async fn example(transport: impl Transport, mailer: Mailer) -> gulo_bus_core::Result<()> {
/// let bus = Bus::builder("user-service")
///     .transport(transport)                               // changing this line changes nothing else
///     .topology(TopologyMode::Check)                      // topics are there, or `start()` names all that are not
///     .topic("welcomes", |t| t.partitions(12))            // one that is only published to
///     .subscribe(Subscription::group("email").on(send_welcome))
///     .state(mailer)
///     .start()
///     .await?;
/// # Ok(()) }
/// ```
/// A clone describes the same bus, on the same transport and with the same states: for who stops one and starts it again.
#[derive(Clone)]
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
    naming: TopicNaming,
    keys: PartitionKey,
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
            naming: TopicNaming::default(),
            keys: PartitionKey::default(),
        }
    }

    /// The broker. Changing this line changes nothing else.
    pub fn transport(self, transport: impl Transport) -> Self {
        self.shared_transport(Arc::new(transport))
    }

    /// The broker, shared with others: a reader of dead letters, say.
    pub fn shared_transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Says of a topic how it is made where it does not exist, and how events lie in it; it is made or checked at
    /// `start()`. Needed for topics that are only published to; those of handlers and of dead letters are known. Called
    /// again for the same topic, it goes on from what was said. [`TopicSettings`] has an example.
    pub fn topic(mut self, name: impl Into<Arc<str>>, settings: impl FnOnce(TopicSettings) -> TopicSettings) -> Self {
        let known = self.topics.entry(name.into()).or_default();
        *known = settings(std::mem::take(known));
        self
    }

    /// What topics are called on the broker. As in the program unless said.
    ///
    /// ```
    /// # use gulo_bus_core::bus::Bus;
    /// # use gulo_bus_core::routing::TopicNaming;
    /// let bus = Bus::builder("user-service").topic_naming(TopicNaming::new().environment("staging"));
    /// ```
    pub fn topic_naming(mut self, naming: TopicNaming) -> Self {
        self.naming = naming;
        self
    }

    /// What the keys of events are. Their own unless said.
    pub fn partition_key(mut self, key: PartitionKey) -> Self {
        self.keys = key;
        self
    }

    /// Whether missing topics are made or only named. [`TopologyMode::Create`] unless said.
    pub fn topology(mut self, mode: TopologyMode) -> Self {
        self.topology = mode;
        self
    }

    /// Adds a group of handlers. One group is one subscription.
    pub fn subscribe(mut self, subscription: Subscription) -> Self {
        self.subscriptions.push(subscription);
        self
    }

    /// Puts a layer around every call of every group's handlers, outside of the group's own; the first one is the
    /// outermost.
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// As [`layer`](Self::layer), and outside of those that are there: for who looks on, and must see what the bus
    /// sees.
    #[doc(hidden)]
    pub fn outermost_layer(mut self, layer: impl Layer) -> Self {
        self.layers.insert(0, Arc::new(layer));
        self
    }

    /// A value for handlers to take as [`State<S>`](crate::handler::State). One of each type: the last one counts.
    pub fn state<S: Clone + Send + Sync + 'static>(mut self, state: S) -> Self {
        self.states.insert(state);
        self
    }

    /// How large events may be. [`Limits::default`] unless said.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Refuses to start on a transport that lacks `capability`, for a program that relies on it.
    ///
    /// ```
    /// # use gulo_bus_core::bus::Bus;
    /// # use gulo_bus_core::transport::Capability;
    /// let bus = Bus::builder("user-service").require(Capability::KeyOrder);
    /// ```
    pub fn require(mut self, capability: Capability) -> Self {
        self.required.push(capability);
        self
    }

    /// Checks the description, makes or checks the topics, connects, and begins to handle. To be called within a Tokio
    /// runtime with its time enabled: each group is a task there.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) for what contradicts itself, [`Unsupported`](ErrorKind::Unsupported) naming the
    /// capability that the transport lacks, [`Missing`](ErrorKind::Missing) naming all topics that are, and what the
    /// transport says when it cannot connect. Nothing runs after an error.
    ///
    /// Cancel safety: dropped, nothing runs; topics that were made by then stay.
    pub async fn start(mut self) -> Result<Bus> {
        check::service(&self.service)?;
        let transport = check::transport(self.transport.as_ref())?;
        check::subscriptions(&self.subscriptions, &self.states)?;
        let subscriptions = std::mem::take(&mut self.subscriptions).into_iter();
        let groups =
            subscriptions.map(|subscription| Group::resolve(subscription, &self.naming)).collect::<Result<Vec<_>>>()?;
        check::handlers(&groups)?;
        letters::check(&groups)?;
        later::check(&groups)?;
        check::capabilities(&*transport, &self.required, &groups)?;
        check::formats(&self.topics)?;
        let topics = topic::on_broker(&self.topics, &self.naming)?;
        transport.ensure(&self.needed(&topics, &groups)).await.map_err(|error| match error.kind() {
            ErrorKind::Missing if self.topology == TopologyMode::Check => {
                error.help("make them, or let the bus do it with `.topology(TopologyMode::Create)`")
            }
            _ => error,
        })?;
        let publisher = transport.publisher().await?;
        let mut opened: Vec<(Group, Box<dyn Source>)> = Vec::new();
        for group in groups {
            let source = transport.subscribe(group.spec()).await;
            let name = &group.subscription.group;
            let source = source.map_err(|error| error.context(format_args!("group {name}")))?;
            tracing::info!(group = %name, topics = ?group.topics(), "subscribed");
            opened.push((group, source));
        }
        let (stop, stopping) = watch::channel(None);
        let formats: Arc<Formats> = Arc::new(topics.into_iter().map(|(name, topic)| (name, topic.format)).collect());
        let destinations = Destinations::new(self.naming, self.keys, Arc::clone(&formats));
        let publishing = Arc::new(Publishing {
            source: self.service,
            limits: self.limits,
            destinations,
            publisher,
            room: Room::default(),
        });
        let launch = Launch {
            transport: &transport,
            states: &Arc::new(self.states),
            publishing: &publishing,
            formats: &formats,
            layers: &self.layers,
            makes_topics: self.topology == TopologyMode::Create,
            stopping,
        };
        let subscriptions: Vec<Running> = opened.into_iter().map(|opened| launch.spawn(opened)).collect();
        let groups = subscriptions.iter().map(Running::to_look_at).collect();
        let monitor = Monitor { transport, groups };
        let watchdog = Watchdog::spawn(monitor.clone());
        Ok(Bus { publishing, stop, subscriptions, monitor, _watchdog: watchdog, shut_down: false })
    }

    fn needed(&self, topics: &BTreeMap<Arc<str>, TopicSettings>, groups: &[Group]) -> Topology {
        let read = groups.iter().flat_map(|group| group.names.iter().cloned());
        let names: BTreeSet<Arc<str>> = topics.keys().cloned().chain(read).collect();
        let spec = |name: Arc<str>| topics.get(&name).cloned().unwrap_or_default().spec(name);
        // Each kept: nobody reads them until somebody looks.
        let letters = groups.iter().flat_map(|group| &group.letters).map(|letters| Arc::clone(&letters.to));
        let letters = letters.map(|name| TopicSpec { keep: true, ..spec(name) });
        let later = groups.iter().flat_map(|group| {
            let delayed = group.subscription.later.as_ref().map(RetryLater::longest);
            group.retry_topics().cloned().map(move |name| (name, delayed))
        });
        let later = later.map(|(name, delayed)| TopicSpec { delayed, ..spec(name) });
        let topics = names.into_iter().map(spec).chain(letters).chain(later).collect();
        let of_group =
            |group: &Group| GroupSpec { group: Arc::clone(&group.subscription.group), topics: group.topics() };
        Topology { mode: self.topology, topics, groups: groups.iter().map(of_group).collect() }
    }
}

/// What the tasks of all subscriptions share.
struct Launch<'a> {
    transport: &'a Arc<dyn Transport>,
    states: &'a Arc<StateMap>,
    layers: &'a [Arc<dyn Layer>],
    publishing: &'a Arc<Publishing>,
    formats: &'a Arc<Formats>,
    makes_topics: bool,
    stopping: watch::Receiver<Option<Stop>>,
}

impl Launch<'_> {
    fn spawn(&self, (group, source): (Group, Box<dyn Source>)) -> Running {
        let spec = group.spec();
        // Those of topics that a pattern finds are not known before.
        let makes_letter_topics = self.makes_topics && !group.patterns().is_empty();
        let Group { subscription, routed, later, .. } = group;
        let each = later.into_iter().map(|Letters { of, to }| (of, to));
        let later = subscription.later.clone().map(|policy| Later::new(policy, each));
        let gauge = Arc::new(Gauge::new(Board::new(subscription.stall_after)));
        let pace = (subscription.concurrency, subscription.capacity());
        let processor = Arc::new(Processor {
            group: Arc::clone(&subscription.group),
            routes: Routes::new(routed, self.formats),
            layers: self.layers.iter().cloned().chain(subscription.layers).collect(),
            retry: subscription.retry,
            later,
            dead_letter: subscription.dead_letter,
            unhandled: subscription.unhandled,
            states: Arc::clone(self.states),
            publish: Publish(Arc::clone(self.publishing)),
            publisher: Arc::clone(&self.publishing.publisher),
            letter_topics: makes_letter_topics.then(|| Arc::clone(self.transport)),
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
