//! The thread that drives a source: it serves the consumer's own queue, and with it the membership in the group, and does
//! all that changes the assignment, commits included. Only this thread calls the consumer, but for the lanes' queues,
//! which `recv` polls; so an explicit list of offsets can be right: nobody takes a partition away meanwhile.
//!
//! It sleeps until librdkafka, the source or its own clock has something for it. Handlers run elsewhere, so however slow
//! they are, the member stays alive.

mod alive;
mod commits;
mod control;
mod handover;
mod identity;
mod leave;
mod positions;
mod trouble;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use gulo_bus_core::transport::{Member, Position, SubscribeSpec, Topics};
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::Message as _;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::BorrowedMessage;
use tokio::sync::oneshot;

use crate::config::KafkaConfig;
use crate::context::{Health, Observer};
use crate::convert::Copier;
use crate::error::{coded, of_call};
use crate::rebalance::{Change, GroupConsumer, Place, SourceContext};
use crate::shared::{Command, Shared};
use crate::token::Login;

use alive::Alive;
pub(crate) use alive::Lease;
use commits::Commits;
use control::Job;
use handover::Handover;
use identity::Identities;
use leave::Leaving;
use positions::Offsets;
use trouble::Troubles;

/// The longest sleep: a rebalance of the group waits for a member that polls seldom.
const NAP: Duration = Duration::from_millis(100);

/// How long the group's coordinator is waited for before the group is joined.
const GROUP_ANSWERS: Duration = Duration::from_secs(3);

/// How long a question to the broker about positions may take.
pub(crate) const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// The source's end of a driver.
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) commit_every: usize,
    /// Messages taken at a time.
    pub(crate) at_a_time: usize,
    pub(crate) consumer: Weak<GroupConsumer>,
    context: Arc<SourceContext>,
}

impl Handle {
    /// The queue of a lane of this topic gave an error.
    pub(crate) fn trouble(&self, code: Code, topic: &str) {
        self.context.hear_error(code, format!("topic `{topic}`: {}", crate::error::plain(code)));
        self.shared.call_driver();
    }
}

/// What a source is to do.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) config: Arc<KafkaConfig>,
    pub(crate) health: Arc<Health>,
    pub(crate) spec: SubscribeSpec,
    /// The named topics, with their number of partitions.
    pub(crate) topics: Vec<(Arc<str>, i32)>,
}

pub(crate) struct Driver {
    /// Before the consumer, for it must be dropped first.
    identities: Identities,
    consumer: Arc<GroupConsumer>,
    shared: Arc<Shared>,
    plan: Plan,
    changes: std::collections::VecDeque<Change>,
    commits: Commits,
    handover: Option<Handover>,
    jobs: Vec<Job>,
    /// librdkafka keeps a partition paused when it moves away and back: all must be resumed before they go.
    paused: HashSet<Place>,
    /// Where the topics ended when the source was made, for a group that begins there.
    ends: Offsets,
    /// Where a reader that commits nothing stood when its partitions were taken.
    left_at: HashMap<Place, i64>,
    troubles: Troubles,
    login: Login,
    alive: Alive,
    leaving: Option<Leaving>,
}

/// Makes the consumer on a thread of its own and begins to receive.
pub(crate) async fn start(plan: Plan) -> Result<Handle> {
    let deadline = tokio::time::Instant::now() + plan.config.connect_timeout;
    let login = Login::ready(&plan.config, &plan.health, deadline).await?;
    let (ready, started) = oneshot::channel();
    let spawned =
        thread::Builder::new().name("gulo-kafka-source".into()).spawn(move || match Driver::new(plan, login) {
            Ok(mut driver) => {
                let begun = driver.begin().map(|()| driver.handle());
                if begun.is_err() {
                    driver.give_up();
                }
                // Where nobody waits any more, nobody will ever tell the driver to leave.
                if ready.send(begun).is_err() {
                    driver.give_up();
                }
                driver.run();
            }
            Err(error) => drop(ready.send(Err(error))),
        });
    spawned.map_err(|error| {
        Error::new(ErrorKind::Other, "no thread for the Kafka source")
            .help("the system gives this process no more threads")
            .source(error)
    })?;
    started.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Other, "the thread of the Kafka source ended")))
}

/// Tells the source when the thread ends in a way that nobody foresaw.
struct LastWord(Arc<Shared>);

impl Drop for LastWord {
    fn drop(&mut self) {
        self.0.fail(ErrorKind::Other, "the thread of the Kafka source ended".into());
    }
}

impl Driver {
    fn new(plan: Plan, mut login: Login) -> Result<Self> {
        let secrets = plan.config.secrets();
        let settings = match &plan.spec.member {
            Member::Group(group) => plan.config.consumer(group),
            Member::Solo => plan.config.solo(&lonely_group()),
        };
        let observer = Observer::lasting(plan.health.clone(), secrets.clone(), &settings);
        let made = settings.create_with_context(SourceContext::new(observer));
        let mut consumer: GroupConsumer = made.map_err(|error| of_call("the consumer", &error, &secrets))?;
        login.renew(consumer.client());
        let shared = Arc::new(Shared::default());
        let this = thread::current();
        shared.set_driver(this.clone());
        consumer.set_nonempty_callback(move || this.unpark());
        Ok(Self {
            identities: Identities::default(),
            consumer: Arc::new(consumer),
            shared,
            commits: Commits::new(plan.spec.commit),
            alive: Alive::new(&plan.config),
            plan,
            changes: Default::default(),
            handover: None,
            jobs: Vec::new(),
            paused: HashSet::new(),
            ends: Offsets::new(),
            left_at: HashMap::new(),
            troubles: Troubles::default(),
            login,
            leaving: None,
        })
    }

    fn handle(&self) -> Handle {
        Handle {
            shared: self.shared.clone(),
            commit_every: self.plan.spec.commit.every.max(1),
            at_a_time: self.plan.config.max_poll_records.max(1),
            consumer: Arc::downgrade(&self.consumer),
            context: self.consumer.context().clone(),
        }
    }

    fn is_solo(&self) -> bool {
        self.plan.spec.member == Member::Solo
    }

    /// Joins the group; or takes every partition, where there is none to join.
    fn begin(&mut self) -> Result<()> {
        let subscribed = match &self.plan.spec.topics {
            Topics::Named(_) if self.is_solo() => return self.take_all(),
            Topics::Named(names) => {
                self.ask_group()?;
                if self.start_position() == Position::Latest {
                    // "From now on" is now, and not when the group has given us the partition.
                    self.ends = self.resolve(&self.all_places(), Position::Latest)?;
                }
                let names: Vec<&str> = names.iter().map(|name| &**name).collect();
                self.consumer.subscribe(&names)
            }
            Topics::Pattern(pattern) => {
                self.ask_group()?;
                // A regular expression is taken for one by its `^`; the whole name must match.
                self.consumer.subscribe(&[&format!("^({pattern})$")])
            }
        };
        subscribed.map_err(|error| {
            Error::new(ErrorKind::Config, format!("Kafka did not take the subscription: {error}"))
                .help("patterns on Kafka are POSIX extended regular expressions")
        })
    }

    /// Fails where the group is not for us. librdkafka says so once, in passing, and then tries for ever. The group's
    /// coordinator has to be found in any case, so this costs one short request; one that takes its time is not waited for.
    fn ask_group(&self) -> Result<()> {
        let Member::Group(group) = &self.plan.spec.member else { return Ok(()) };
        // It is the group that is asked about: any topic does, and the names that a pattern has are not known here.
        let any = Place { topic: "-".into(), partition: 0 };
        let place = self.all_places().into_iter().next().unwrap_or(any);
        let until = Instant::now() + GROUP_ANSWERS;
        loop {
            let asked = self.consumer.committed_offsets(crate::rebalance::list([&place]), NAP / 2);
            // Causes are told to whoever polls. Nothing is subscribed to yet, so nothing else comes.
            drop(self.consumer.poll(Duration::ZERO));
            if let Some((code, said)) = self.consumer.context().heard_of(Code::GroupAuthorizationFailed) {
                return Err(coded(&format!("joining group `{group}`"), code, Some(&said)));
            }
            let code = asked.err().and_then(|error| error.rdkafka_error_code());
            let later = matches!(code, Some(Code::OperationTimedOut | Code::WaitingForCoordinator));
            if !later || Instant::now() >= until {
                return Ok(());
            }
        }
    }

    fn take_all(&mut self) -> Result<()> {
        self.take_on(self.all_places())
    }

    /// The partitions of the named topics.
    fn all_places(&self) -> Vec<Place> {
        let places = |(topic, count): &(Arc<str>, i32)| {
            let topic = topic.clone();
            (0..*count).map(move |partition| Place { topic: topic.clone(), partition })
        };
        self.plan.topics.iter().flat_map(places).collect()
    }

    fn run(mut self) {
        let last_word = LastWord(self.shared.clone());
        while !self.ready_to_leave() {
            if let Some(trouble) = self.login.renew(self.consumer.client()) {
                self.alarmed(Code::Authentication, &trouble);
            }
            self.serve();
            self.consumer.context().observer.step(self.consumer.client());
            self.obey();
            self.go_on();
            self.step_alive();
            thread::park_timeout(self.nap());
        }
        self.leave();
        drop(last_word);
    }

    /// Serves the consumer's queue until it is empty. A poll that ran a callback returns nothing too.
    fn serve(&mut self) {
        let consumer = self.consumer.clone();
        loop {
            let before = consumer.context().served();
            match consumer.poll(Duration::ZERO) {
                Some(Ok(record)) => self.keep(&record),
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => self.end_by(code),
                Some(Err(_)) => {}
                None if consumer.context().served() == before => {
                    // Errors out of lanes' queues are heard too, and no callback of this queue tells of them.
                    self.hear();
                    break;
                }
                None => {}
            }
            self.hear();
        }
    }

    fn hear(&mut self) {
        let heard = self.consumer.context().take_heard();
        self.changes.extend(heard.changes);
        heard.answers.into_iter().for_each(|answer| self.answered(answer));
        heard.errors.into_iter().for_each(|(code, text)| self.alarmed(code, &text));
        self.change();
    }

    /// A message that came before its partition's queue was split off must not be lost.
    fn keep(&mut self, record: &BorrowedMessage<'_>) {
        let place = Place::new(record.topic(), record.partition());
        let mut state = self.shared.lock();
        if let Some(lane) = state.lanes.of(&place) {
            let message = Copier::default().copy_borrowed(record, &lane.place.topic);
            lane.backlog.push_back((record.offset(), message));
            drop(state);
            self.shared.wake.notify_one();
        }
    }

    fn obey(&mut self) {
        let mut state = self.shared.lock();
        let commands = std::mem::take(&mut state.commands);
        let leave = state.leave.take();
        drop(state);
        for command in commands {
            match command {
                Command::Pause(lane) => self.pause(lane),
                Command::Resume(lane) => self.resume(lane),
                Command::Release(lane) => self.release(lane),
                Command::Seek(lane, to) => self.seek(lane, to),
            }
        }
        if let Some(leave) = leave {
            self.leaving = Some(Leaving::new(leave));
        }
    }

    /// Whatever takes several steps takes its next.
    fn go_on(&mut self) {
        let now = Instant::now();
        self.step_handover(now);
        self.step_jobs(now);
        self.step_commits(now);
        self.step_troubles(now);
        self.step_identities(now);
    }

    fn nap(&self) -> Duration {
        let urgent =
            self.handover.is_some() || !self.jobs.is_empty() || self.leaving.is_some() || self.alive.in_doubt();
        let next = self.commits.next(&self.shared.lock());
        let longest = if urgent { NAP / 10 } else { NAP };
        next.map_or(longest, |at| at.saturating_duration_since(Instant::now()).min(longest))
    }

    /// Ends the source: what comes next is for a new one.
    fn end(&self, error: &Error) {
        self.shared.fail(error.kind(), error.to_string());
    }

    fn end_by(&self, code: Code) {
        let said = self.consumer.client().fatal_error().map(|(_, text)| text);
        let secrets = self.plan.config.secrets();
        let said = said.map(|said| secrets.scrub(&said).into_owned());
        self.end(&coded("the Kafka consumer ended", code, said.as_deref()));
    }

    fn start_position(&self) -> Position {
        self.plan.spec.start
    }

    fn is_lost(&self) -> bool {
        !self.is_solo() && self.consumer.assignment_lost()
    }

    /// From here on the consumer polls by itself, inside of its drop.
    fn stop_acting(&self) {
        self.consumer.context().leaving.store(true, Relaxed);
    }
}

/// A reader without a group needs one all the same: librdkafka gives partitions to groups only. Nobody else has this one,
/// and nothing is ever committed to it.
fn lonely_group() -> String {
    use std::sync::atomic::AtomicU32;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.map_or(0, |since| since.as_nanos());
    format!("gulo-solo-{}-{nanos:x}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

#[cfg(test)]
mod tests;
