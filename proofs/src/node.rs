//! A process with the bus in it and one handler, which does what its steps ask for and writes down what it did.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gulo::bus::Monitor;
use gulo::message::Origin;
use gulo::prelude::*;
use gulo::transport::{CommitPolicy, Transport};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::ledger::{Entry, Kind, Writer};
use crate::step::{Brings, Step, handle_topic};
use crate::{Trouble, now};

/// How many handlers at a time.
pub(crate) const AT_A_TIME: usize = 64;
/// What is finished since the last commit is handled again after a kill.
pub(crate) const COMMIT: CommitPolicy = CommitPolicy { every: 1000, interval: Duration::from_secs(1) };
/// How often a step is handled that panics every time.
pub(crate) const ATTEMPTS: u32 = 3;
/// A killed member keeps its lanes so long.
pub(crate) const SESSION: Duration = Duration::from_secs(6);
pub(crate) const POISON: &str = "of no use, ever";
pub(crate) const PANIC: &str = "this one panics";

const WORK: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(20);

/// The broker that a node is at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum On {
    #[cfg(feature = "kafka")]
    #[default]
    Kafka,
    #[cfg(feature = "amqp")]
    #[cfg_attr(not(feature = "kafka"), default)]
    Amqp,
}

impl On {
    /// What says where it is.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            #[cfg(feature = "kafka")]
            Self::Kafka => "KAFKA_BOOTSTRAP_SERVERS",
            #[cfg(feature = "amqp")]
            Self::Amqp => "AMQP_URL",
        }
    }

    fn transport(self, options: &Options) -> Result<Arc<dyn Transport>, Trouble> {
        Ok(match self {
            #[cfg(feature = "kafka")]
            Self::Kafka => {
                let config = KafkaConfig::from_env()?.session_timeout(options.session);
                let properties = options.properties.iter();
                Arc::new(KafkaTransport::new(
                    properties.fold(config, |config, (name, value)| config.property(name, value)),
                ))
            }
            #[cfg(feature = "amqp")]
            Self::Amqp => {
                let config = AmqpConfig::new(&std::env::var(self.variable())?);
                Arc::new(AmqpTransport::new(config.heartbeat(options.session)))
            }
        })
    }
}

/// How a node is set up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Options {
    pub(crate) on: On,
    pub(crate) health: Health,
    /// After which the broker gives up a member that says nothing; of RabbitMQ, the heartbeat.
    pub(crate) session: Duration,
    /// So many messages of a lane are out at most, where that is not the default.
    pub(crate) window: Option<usize>,
    pub(crate) at_a_time: usize,
    /// [`CommitPolicy`]: after so many, or so long.
    pub(crate) commit_every: usize,
    pub(crate) commit_interval: Duration,
    /// Of librdkafka.
    pub(crate) properties: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            on: On::default(),
            health: Health::Faulty,
            session: SESSION,
            window: None,
            at_a_time: AT_A_TIME,
            commit_every: COMMIT.every,
            commit_interval: COMMIT.interval,
            properties: Vec::new(),
        }
    }
}

impl Options {
    pub(crate) fn with(mut self, property: &str, value: &str) -> Self {
        self.properties.push((property.to_owned(), value.to_owned()));
        self
    }
}

/// Whether steps that bring trouble do so, or the cause is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Health {
    Faulty,
    /// Nothing fails for a while or is stuck any more; what is poison stays it.
    Repaired,
}

#[derive(Clone)]
struct Desk {
    ledger: Arc<Writer>,
    health: Health,
}

/// What a step that fails for a while fails with: its policy lets it outlast that.
#[derive(Debug)]
struct NotNow;

impl std::fmt::Display for NotNow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not now")
    }
}

impl std::error::Error for NotNow {}

/// Handles until its standard input ends, which it does too when its parent dies.
#[tokio::main]
pub(crate) async fn run(topic: &str, group: &str, ledger: &str, options: &str) -> Result<(), Trouble> {
    let options: Options = serde_json::from_str(options)?;
    tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::WARN).with_ansi(false).init();
    handle_topic(topic);
    let desk = Desk { ledger: Arc::new(Writer::open(ledger)?), health: options.health };
    let bus = Bus::builder("prove-node")
        .shared_transport(options.on.transport(&options)?)
        .subscribe(subscription(group, &options).on(handle))
        .state(desk)
        .start()
        .await?;
    let diary = tokio::spawn(keep_diary(bus.monitor(), diary(Path::new(ledger), std::process::id())));
    told_to_stop().await;
    diary.abort();
    println!("{}", bus.shutdown(PATIENCE).await?);
    Ok(())
}

fn subscription(group: &str, options: &Options) -> Subscription {
    let patient = Retry::fixed(Duration::from_millis(50)).max_attempts(u32::MAX);
    let retry = Retry::fixed(Duration::from_millis(100)).max_attempts(ATTEMPTS).on_error::<NotNow>(patient);
    let commit = CommitPolicy { every: options.commit_every, interval: options.commit_interval };
    let subscription =
        Subscription::group(group).concurrency(Concurrency::per_key(options.at_a_time)).retry(retry).commit(commit);
    match options.window {
        Some(window) => subscription.window(window),
        None => subscription,
    }
}

/// Where a node writes how it is. It is there when the bus has started.
pub(crate) fn diary(ledger: &Path, process: u32) -> PathBuf {
    ledger.with_file_name(format!("health-{process}"))
}

/// Writes down how the bus is, each time it is otherwise.
async fn keep_diary(monitor: Monitor, path: PathBuf) -> std::io::Result<()> {
    let (mut file, mut known) = (File::create(path)?, String::new());
    loop {
        let health = monitor.health();
        let troubles: Vec<_> = health.subscriptions.into_iter().filter_map(|group| group.degraded).collect();
        let is = format!(
            "{:?}; {}",
            health.transport,
            if troubles.is_empty() { "well".into() } else { troubles.join("; ") }
        );
        if is != known {
            writeln!(file, "{} {is}", now())?;
            known = is;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn told_to_stop() {
    let (stop, stopped) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(stop);
    });
    let _ = stopped.await;
}

async fn handle(
    Event(step): Event<Step>,
    origin: Origin,
    Attempt(attempt): Attempt,
    State(desk): State<Desk>,
) -> Result<(), HandlerError> {
    desk.note(Kind::Began, &step, &origin)?;
    let mut open = Open(Some((&desk, &step, &origin)));
    let done = desk.work(&step, &origin, attempt).await;
    open.0 = None;
    desk.note(if done.is_ok() { Kind::Effect } else { Kind::Failed }, &step, &origin)?;
    done
}

/// A handler that may be dropped in the middle.
struct Open<'a>(Option<(&'a Desk, &'a Step, &'a Origin)>);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some((desk, step, origin)) = self.0 {
            // It ends a handler: there is nobody to be told that it could not be written.
            let _ = desk.note(Kind::Dropped, step, origin);
        }
    }
}

impl Desk {
    async fn work(&self, step: &Step, origin: &Origin, attempt: u32) -> Result<(), HandlerError> {
        let faulty = self.health == Health::Faulty;
        match step.trouble {
            Some(Brings::FailsUntil(end)) if faulty && now() < end => return Err(NotNow.into()),
            Some(Brings::FailsTimes(times)) if attempt <= times => return Err(NotNow.into()),
            Some(Brings::StuckUntil(end)) if faulty => sleep(Duration::from_micros(end.saturating_sub(now()))).await,
            Some(Brings::Takes(millis)) => sleep(Duration::from_millis(millis)).await,
            Some(Brings::Blocks(millis)) => std::thread::sleep(Duration::from_millis(millis)),
            Some(Brings::Poison) => return Err(HandlerError::new(POISON).permanent()),
            Some(Brings::Panic) => {
                self.note(Kind::Failed, step, origin)?;
                panic!("{PANIC}");
            }
            _ => sleep(WORK).await,
        }
        Ok(())
    }

    fn note(&self, kind: Kind, step: &Step, origin: &Origin) -> std::io::Result<()> {
        self.ledger.write(&Entry {
            kind,
            key: step.key,
            number: step.number,
            partition: origin.partition.unwrap_or_default(),
            offset: origin.offset.unwrap_or_default(),
            at: now(),
            process: std::process::id(),
        })
    }
}
