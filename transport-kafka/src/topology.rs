//! Asking what there is, and making what is missing.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use gulo_bus_core::transport::{TopicSpec, Topology, TopologyMode};
use gulo_bus_core::{Error, ErrorKind, Result};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::bindings::rd_kafka_AclOperation_t as Right;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::metadata::Metadata;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::background::in_background;
use crate::certificate;
use crate::config::KafkaConfig;
use crate::context::{Asking, Health, Observer};
use crate::diagnosis;
use crate::error::{IS_IT_RUNNING, coded, of_call};
use crate::listener;
use crate::names;
use crate::native;
use crate::token::Login;

type Client = BaseConsumer<Asking>;

/// The topics there are, with how many partitions each.
pub(crate) type Found = BTreeMap<String, i32>;

/// How long the broker may take to say what we may do; a consumer learns it later in any case.
const RIGHTS_ANSWER: Duration = Duration::from_secs(2);

/// librdkafka takes no longer ones.
const LONGEST_REQUEST: Duration = Duration::from_secs(3600);

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long the other brokers may take to let us in, once one of them never will.
const OTHERS_ANSWER: Duration = Duration::from_secs(3);

/// After so long without any cause but that "all brokers are down", the broker is asked what it wants.
const HANGS_UP: Duration = Duration::from_millis(500);

/// How long it may take to say so once there is no time left: names can take long to resolve, and there may be many.
const LAST_ANSWER: Duration = Duration::from_secs(2);

/// A connection that only asks. librdkafka tells the cause of a failure to whoever polls, and only meanwhile, so a thread
/// does that until this is dropped. That thread drops the client too, which may block.
pub(crate) struct Inquiry {
    client: Arc<Client>,
    config: Arc<KafkaConfig>,
    health: Arc<Health>,
    deadline: Instant,
    over: Arc<AtomicBool>,
}

impl Inquiry {
    pub(crate) async fn open(config: &Arc<KafkaConfig>, health: &Arc<Health>) -> Result<Self> {
        config.check()?;
        let (config, health) = (config.clone(), health.clone());
        let deadline = Instant::now() + config.connect_timeout;
        let observer = Observer::new(health.clone(), config.secrets());
        let settings = config.admin();
        let login = Login::ready(&config, &health, deadline).await?;
        let made = in_background(move || settings.create_with_context(Asking::new(observer))).await?;
        let client: Client = made.map_err(|error| of_call("a Kafka client", &error, &config.secrets()))?;
        let (client, over) = (Arc::new(client), Arc::new(AtomicBool::new(false)));
        serve(client.clone(), over.clone(), login)?;
        Ok(Self { client, config, health, deadline, over })
    }

    /// All topics that may be seen, asked for in one request. Fails with the first cause that librdkafka names, at once where
    /// waiting does not mend it.
    pub(crate) async fn topics(&self) -> Result<Found> {
        let (client, left) = (self.client.clone(), self.deadline - Instant::now());
        let asked = in_background(move || {
            let answer = client.fetch_metadata(None, left).map(|metadata| found(&metadata));
            drop(client);
            answer
        });
        tokio::select! {
            answer = asked => match answer? {
                Ok(found) => {
                    self.client.context().forget_causes();
                    self.health.good();
                    Ok(found)
                }
                Err(error) => Err(self.unreachable_because(error.rdkafka_error_code()).await),
            },
            () = self.hopeless() => Err(self.hopeless_because().await),
            error = self.is_misunderstood() => Err(error),
        }
    }

    /// All of `absent` in one error: those that there are, but not for us, or those that there are not.
    pub(crate) async fn why_absent(&self, absent: &[&str]) -> Error {
        let (client, names) = (self.client.clone(), absent.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let left = self.deadline.saturating_duration_since(Instant::now()).min(Duration::from_secs(2));
        let is_denied = move |name: &String| {
            let asked = client.fetch_metadata(Some(name), left);
            asked.is_ok_and(|metadata| {
                metadata
                    .topics()
                    .iter()
                    .any(|topic| topic.error().map(Code::from) == Some(Code::TopicAuthorizationFailed))
            })
        };
        let denied = in_background(move || names.into_iter().filter(is_denied).collect::<Vec<_>>()).await;
        match denied {
            Ok(denied) if !denied.is_empty() => {
                let text = format!("no right to read or describe topic {}", listed(&denied));
                Error::new(ErrorKind::Refused, text)
                    .help("the broker's ACLs do not allow it: Describe, and Read or Write")
            }
            _ => missing(absent),
        }
    }

    /// Fails where one of these topics, which are there, may not be read; names all of them.
    pub(crate) async fn may_read(&self, names: Vec<String>) -> Result<()> {
        let (client, left) = (self.client.clone(), self.deadline.saturating_duration_since(Instant::now()));
        let names = names.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>().unwrap_or_default();
        let rights = in_background(move || native::rights(client.client(), &names, left.min(RIGHTS_ANSWER))).await?;
        let denied: Vec<String> =
            rights.into_iter().filter(|(_, rights)| lacks_read(rights)).map(|(name, _)| name).collect();
        if denied.is_empty() {
            return Ok(());
        }
        let text = format!("no right to read topic {}", listed(&denied));
        Err(Error::new(ErrorKind::Refused, text).help("the broker's ACLs do not allow it: Read"))
    }

    /// Resolves when librdkafka named causes that waiting does not mend; it would try for ever. Where there are several brokers
    /// to begin with, another one may let us in: one certificate that was not renewed is no reason to fail.
    async fn hopeless(&self) {
        let (context, all) = (self.client.context(), self.config.servers.split(',').count());
        while context.lost_brokers() == 0 {
            context.heard.notified().await;
        }
        let others = async {
            while context.lost_brokers() < all {
                context.heard.notified().await;
            }
        };
        // Over in time or not, there is no more to hope for.
        let _ = timeout(OTHERS_ANSWER, others).await;
    }

    async fn hopeless_because(&self) -> Error {
        let Some((_, said)) = self.client.context().cause() else { return self.unreachable(None) };
        let trust = self.config.trust();
        match in_background(move || certificate::complaint(&said, &trust)).await {
            Ok(Some(complaint)) => {
                let what = format!("Kafka at {} cannot be trusted: {complaint}", self.config.servers);
                diagnosis::of_certificate(&complaint).error(what)
            }
            _ => self.unreachable(None),
        }
    }

    /// Resolves when a listener that hangs up on us turns out to want what we do not do. In a handshake it is asked at once; else
    /// only "all brokers are down" is said, so there is time for a cause first. Where there are several brokers to begin with,
    /// another one may let us in.
    async fn is_misunderstood(&self) -> Error {
        let (mut next, mut asked) = (Instant::now() + HANGS_UP, false);
        loop {
            let cause = self.client.context().cause();
            let is_guess = cause.is_some_and(|(code, said)| diagnosis::of(code, &said).is_guess());
            if (is_guess && !asked) || Instant::now() >= next {
                if let Some(error) = self.wants_otherwise().await {
                    if self.config.servers.contains(',') {
                        sleep(OTHERS_ANSWER).await;
                    }
                    return error;
                }
                (next, asked) = (Instant::now() + HANGS_UP, true);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// What the listener wants, where it has hung up on us and speaks otherwise than we do.
    async fn wants_otherwise(&self) -> Option<Error> {
        let (_, said) = self.client.context().cause().filter(|(code, said)| diagnosis::is_hung_up(*code, said))?;
        let asked = certificate::address(&said).map(|(host, port)| format!("{host}:{port}"));
        let asked = asked.unwrap_or_else(|| self.config.servers.clone());
        let listener = in_background(move || listener::ask(&asked)).await.ok()??;
        listener.refuses(&self.config.protocol(), &format!("Kafka at {} cannot be reached", self.config.servers))
    }

    async fn unreachable_because(&self, code: Option<Code>) -> Error {
        match timeout(LAST_ANSWER, self.wants_otherwise()).await {
            Ok(Some(error)) => error,
            _ => self.unreachable(code),
        }
    }

    fn unreachable(&self, code: Option<Code>) -> Error {
        let what = format!("Kafka at {} cannot be reached", self.config.servers);
        match (self.client.context().cause(), code) {
            (Some((code, said)), _) => diagnosis::of(code, &said).error(format!("{what}: {said}")),
            (None, Some(code)) if code != Code::BrokerTransportFailure => coded(&what, code, None),
            _ => {
                let text = format!("{what}: no answer within {:?}", self.config.connect_timeout);
                Error::new(ErrorKind::Unavailable, text).help(IS_IT_RUNNING)
            }
        }
    }
}

impl Drop for Inquiry {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
    }
}

fn serve(client: Arc<Client>, over: Arc<AtomicBool>, mut login: Login) -> Result<()> {
    login.renew(client.client());
    let serve = move || {
        while !over.load(Relaxed) || Arc::strong_count(&client) > 1 {
            // Errors have gone to the context.
            drop(client.poll(LOOK_AGAIN));
            login.renew(client.client());
        }
    };
    let spawned = thread::Builder::new().name("gulo-kafka-inquiry".into()).spawn(serve);
    spawned.map(drop).map_err(|error| {
        Error::new(ErrorKind::Other, "no thread to ask Kafka")
            .help("the system gives this process no more threads")
            .source(error)
    })
}

fn found(metadata: &Metadata) -> Found {
    let there = metadata.topics().iter().filter(|topic| topic.error().is_none());
    there.map(|topic| (topic.name().to_owned(), topic.partitions().len() as i32)).collect()
}

/// Names all of `missing` in one error.
pub(crate) fn missing(missing: &[&str]) -> Error {
    Error::new(ErrorKind::Missing, format!("no such topic: {}", listed(missing)))
        .help("create what is missing with `ensure`")
}

/// Who finds a topic may do something with it: no right at all means that the broker does not say.
fn lacks_read(rights: &[Right]) -> bool {
    !rights.is_empty() && !rights.contains(&Right::RD_KAFKA_ACL_OPERATION_READ)
}

pub(crate) fn listed(names: &[impl std::fmt::Display]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// Makes what is missing of `topology`, or names it.
pub(crate) async fn ensure(config: &Arc<KafkaConfig>, health: &Arc<Health>, topology: &Topology) -> Result<()> {
    names::check_all(topology)?;
    if let Some(topic) = topology.topics.iter().find(|topic| topic.partitions == Some(0)) {
        let problem = format!("topic `{}` cannot have 0 partitions", topic.name);
        return Err(Error::new(ErrorKind::Config, problem).help("give it at least 1, or say nothing of them"));
    }
    let inquiry = Inquiry::open(config, health).await?;
    let found = inquiry.topics().await?;
    let mut absent: Vec<TopicSpec> = Vec::new();
    for topic in &topology.topics {
        if !found.contains_key(&*topic.name) && absent.iter().all(|have| have.name != topic.name) {
            absent.push(topic.clone());
        }
    }
    if absent.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = absent.iter().map(|topic| &*topic.name).collect();
    match topology.mode {
        TopologyMode::Check => Err(inquiry.why_absent(&names).await),
        TopologyMode::Create => {
            create(config, health, absent.clone()).await?;
            until_there(&inquiry, &names).await
        }
    }
}

async fn create(config: &Arc<KafkaConfig>, health: &Arc<Health>, topics: Vec<TopicSpec>) -> Result<()> {
    let mut login = Login::ready(config, health, Instant::now() + config.connect_timeout).await?;
    let (config, runtime) = (config.clone(), Handle::current());
    let observer = Observer::new(health.clone(), config.secrets());
    in_background(move || {
        let secrets = config.secrets();
        let admin: AdminClient<Asking> = config
            .admin()
            .create_with_context(Asking::new(observer))
            .map_err(|error| of_call("a Kafka client", &error, &secrets))?;
        login.renew(admin.inner());
        let new: Vec<NewTopic<'_>> = topics.iter().map(new_topic).collect::<Result<_>>()?;
        let timeout = Some(config.connect_timeout.min(LONGEST_REQUEST));
        let options = AdminOptions::new().request_timeout(timeout).operation_timeout(timeout);
        let answer = runtime.block_on(admin.create_topics(&new, &options));
        let results = answer.map_err(|error| of_call("creating topics", &error, &secrets))?;
        refused(results)
    })
    .await?
}

fn new_topic(topic: &TopicSpec) -> Result<NewTopic<'_>> {
    let too_many = || {
        Error::new(ErrorKind::Config, format!("topic `{}` has too many partitions", topic.name))
            .help("say fewer, or nothing of them")
    };
    // -1 asks for the broker's default.
    let partitions = topic.partitions.map_or(Ok(-1), |count| i32::try_from(count).map_err(|_| too_many()))?;
    let replication = TopicReplication::Fixed(topic.replication.map_or(-1, i32::from));
    let new = NewTopic::new(&topic.name, partitions, replication);
    Ok(topic.settings.iter().fold(new, |new, (name, value)| new.set(name, value)))
}

/// All topics that were refused, in one error. One that somebody else made meanwhile is there.
fn refused(results: Vec<rdkafka::admin::TopicResult>) -> Result<()> {
    let failed: Vec<(String, Code)> =
        results.into_iter().filter_map(Result::err).filter(|(_, code)| *code != Code::TopicAlreadyExists).collect();
    let Some((_, first)) = failed.first() else { return Ok(()) };
    let each = failed.iter().map(|(name, code)| format!("`{name}` ({})", crate::error::plain(*code)));
    let names: Vec<String> = each.collect();
    let error = coded("creating topics", *first, Some(&names.join(", ")));
    Err(error)
}

/// A topic that was just made takes a moment to be known to the broker one asks.
async fn until_there(inquiry: &Inquiry, names: &[&str]) -> Result<()> {
    loop {
        let found = inquiry.topics().await?;
        let absent: Vec<&str> = names.iter().copied().filter(|name| !found.contains_key(*name)).collect();
        if absent.is_empty() {
            return Ok(());
        }
        if timeout_at(inquiry.deadline, sleep(LOOK_AGAIN)).await.is_err() {
            let text = format!("created, but not to be seen within {:?}", inquiry.config.connect_timeout);
            return Err(missing(&absent).context(text).help("start again, or raise KafkaConfig::connect_timeout"));
        }
    }
}

#[cfg(test)]
mod tests;
