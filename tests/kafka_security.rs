//! A whole bus on a secured broker: what is wrong is one clear error of `start()`; what goes wrong later shows in its health,
//! and heals; no secret shows anywhere.

#![allow(clippy::unwrap_used)]

#[path = "../transport-kafka/tests/security/place.rs"]
#[allow(dead_code)]
mod place;

use std::error::Error as _;
use std::io::{self, Write};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gulo::prelude::*;
use gulo::transport::TopologyMode;
use gulo::{Error, ErrorKind};
use gulo_transport_kafka::{SaslMechanism, SecurityProtocol};
use libtest_mimic::{Arguments, Trial};
use place::{Place, place};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

const SECRET: &str = "hunter2-hunter2";

/// Where waiting does not mend it.
const AT_ONCE: Duration = Duration::from_secs(3);

#[derive(Debug, Serialize, Deserialize)]
struct Allowed(u32);

impl IntegrationEvent for Allowed {
    const TYPE: &'static str = "allowed";
    const TOPIC: Option<&'static str> = Some("it.security.bus");
}

#[derive(Debug, Serialize, Deserialize)]
struct Forbidden(u32);

impl IntegrationEvent for Forbidden {
    const TYPE: &'static str = "forbidden";
    const TOPIC: Option<&'static str> = Some("secret.security.bus");
}

#[derive(Debug, Serialize, Deserialize)]
struct Absent(u32);

impl IntegrationEvent for Absent {
    const TYPE: &'static str = "absent";
    const TOPIC: Option<&'static str> = Some("it.security.absent");
}

/// All that was said to `tracing`, from `trace` on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn listen() -> Self {
        static LOG: std::sync::OnceLock<Log> = std::sync::OnceLock::new();
        let begin = || {
            let log = Self::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
            subscriber.with_writer(move || writer.clone()).init();
            log
        };
        LOG.get_or_init(begin).clone()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Whatever a program sees of an error.
fn texts(error: &Error) -> String {
    let mut text = format!("{error}\n{error:?}\n{error:#?}");
    let mut source = error.source();
    while let Some(deeper) = source {
        text += &format!("\n{deeper}\n{deeper:?}");
        source = deeper.source();
    }
    text
}

async fn on_allowed(Event(_): Event<Allowed>) {}
async fn on_forbidden(Event(_): Event<Forbidden>) {}
async fn on_absent(Event(_): Event<Absent>) {}

fn bus(config: KafkaConfig) -> BusBuilder {
    Bus::builder("shop").transport(KafkaTransport::new(config))
}

fn group(name: &str) -> Subscription {
    Subscription::group(name.to_owned()).dead_letter(DeadLetter::discard())
}

async fn refused(bus: BusBuilder, within: Duration, kind: ErrorKind, says: &[&str]) {
    let log = Log::listen();
    let begun = Instant::now();
    let error = bus.start().await.map(drop).expect_err("start is refused");
    let (took, text) = (begun.elapsed(), texts(&error));
    println!("{took:.1?} [{kind:?}] {error}");
    assert!(took < within, "{took:?}: {text}");
    assert_eq!(error.kind(), kind, "{text}");
    for part in says {
        assert!(error.to_string().contains(part), "`{part}` is not in {error}");
    }
    assert!(!text.contains(SECRET), "{text}");
    let logged = log.text();
    assert!(logged.contains("gulo_transport_kafka"), "the log is listened to");
    let leaks: Vec<_> = logged.lines().filter(|line| line.contains(SECRET)).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}

fn wrong(place: &Place, mechanism: SaslMechanism, user: &str) -> KafkaConfig {
    // With all that librdkafka has to say.
    place.sasl_ssl().sasl(mechanism, user, SECRET).property("debug", "all")
}

async fn a_wrong_password() {
    let place = place();
    let address = place.listener("SASL_SSL");
    for (mechanism, user) in [(SaslMechanism::Plain, "bob"), (SaslMechanism::ScramSha512, "alice")] {
        let says = [&*address, "uthentication failed", "KAFKA_SASL_PASSWORD"];
        let bus = bus(wrong(&place, mechanism, user)).subscribe(group("it.security").on(on_allowed));
        refused(bus, AT_ONCE, ErrorKind::Refused, &says).await;
    }
}

async fn a_mechanism_that_is_not_offered() {
    let config = KafkaConfig::new(place().listener("SASL")).security_protocol(SecurityProtocol::SaslPlaintext);
    let bus = bus(config.sasl(SaslMechanism::Plain, "bob", SECRET)).subscribe(group("it.security").on(on_allowed));
    refused(bus, AT_ONCE, ErrorKind::Refused, &["SCRAM-SHA-512", "KAFKA_SASL_MECHANISM"]).await;
}

/// librdkafka quotes what it does not understand: all of a value, or the rest of it.
async fn a_secret_that_librdkafka_would_quote() {
    let config = || {
        let config = place().sasl_ssl().property("enable.sasl.oauthbearer.unsecure.jwt", "true");
        config.sasl_mechanism(SaslMechanism::OauthBearer)
    };
    for value in [SECRET.to_owned(), format!("principal=svc {SECRET}"), format!("scope=a {SECRET}=1 principal=svc")] {
        let config = config().property("sasl.oauthbearer.config", value).property("debug", "all");
        let bus = bus(config.connect_timeout(Duration::from_secs(2))).subscribe(group("it.security").on(on_allowed));
        refused(bus, AT_ONCE, ErrorKind::Refused, &["oauthbearer"]).await;
    }
}

async fn certificates_that_cannot_be_trusted() {
    let place = place();
    let foreign = place.sasl_ssl().sasl(SaslMechanism::Plain, "bob", SECRET).ssl_ca(place.pki("otherca.pem"));
    for (config, listener, says, help) in [
        (foreign, "SASL_SSL", "is of no CA in", "KAFKA_SSL_CAFILE"),
        (place.ssl("EXPIRED"), "EXPIRED", "has expired", "renewed on the broker"),
        (place.ssl("WRONG_HOST"), "WRONG_HOST", "is for elsewhere.test, not for 127.0.0.1", "KAFKA_BOOTSTRAP_SERVERS"),
    ] {
        let says = [&*place.listener(listener), "cannot be trusted", says, help];
        refused(bus(config).subscribe(group("it.security").on(on_allowed)), AT_ONCE, ErrorKind::Unavailable, &says)
            .await;
    }
}

async fn no_certificate_where_one_is_wanted() {
    let place = place();
    let says = [&*place.listener("MTLS"), "wants a client certificate", "KAFKA_SSL_CERTFILE"];
    let bus = bus(place.ssl("MTLS")).subscribe(group("it.security").on(on_allowed));
    refused(bus, AT_ONCE, ErrorKind::Refused, &says).await;
}

async fn tls_here_and_not_there() {
    let place = place();
    let (plain, sasl_ssl) = (place.listener("PLAIN"), place.listener("SASL_SSL"));
    let says = [&*sasl_ssl, "the listener wants TLS", "KAFKA_SECURITY_PROTOCOL"];
    let without = bus(KafkaConfig::new(&*sasl_ssl)).subscribe(group("it.security").on(on_allowed));
    refused(without, AT_ONCE, ErrorKind::Config, &says).await;
    let says = [&*plain, "the listener does not speak TLS", "security.protocol"];
    let with = bus(place.ssl("PLAIN")).subscribe(group("it.security").on(on_allowed));
    refused(with, AT_ONCE, ErrorKind::Config, &says).await;
}

async fn a_broker_that_is_not_there() {
    let config = KafkaConfig::new("127.0.0.1:1").connect_timeout(Duration::from_secs(1));
    let says = ["127.0.0.1:1", "refused", "is it running?"];
    let bus = bus(config).subscribe(group("it.security").on(on_allowed));
    refused(bus, Duration::from_secs(2), ErrorKind::Unavailable, &says).await;
}

/// The topic of other people, made by who may do everything.
async fn forbidden_topic() {
    let checker = Bus::builder("checker").transport(place().checker()).topic("secret.security.bus", |topic| topic);
    let made = checker.topology(TopologyMode::Create).start().await.unwrap();
    made.shutdown(Duration::from_secs(10)).await.unwrap();
}

async fn a_topic_that_is_denied() {
    forbidden_topic().await;
    for mode in [TopologyMode::Check, TopologyMode::Create] {
        let bus = bus(place().alice()).topology(mode).subscribe(group("it.security").on(on_forbidden));
        refused(bus, AT_ONCE, ErrorKind::Refused, &["`secret.security.bus`", "ACLs"]).await;
    }
}

async fn a_topic_that_may_be_found_but_not_read() {
    let place = place();
    // A run that was broken off may have left it.
    place.deny_to("alice", "Read", "topic", "it.security.readable", false);
    let start = || bus(place.alice()).topology(TopologyMode::Create).subscribe(group("it.security").on(on_readable));
    start().start().await.unwrap().shutdown(Duration::from_secs(10)).await.unwrap();
    place.deny_to("alice", "Read", "topic", "it.security.readable", true);
    refused(start(), AT_ONCE, ErrorKind::Refused, &["no right to read topic `it.security.readable`", "ACLs"]).await;
    place.deny_to("alice", "Read", "topic", "it.security.readable", false);
}

async fn a_group_that_is_denied() {
    let bus = bus(place().alice()).topology(TopologyMode::Create).subscribe(group("secret-group").on(on_allowed));
    refused(bus, AT_ONCE, ErrorKind::Refused, &["secret-group", "Group authorization failed", "ACLs"]).await;
}

async fn a_topic_that_is_missing() {
    let bus = bus(place().alice()).topology(TopologyMode::Check).subscribe(group("it.security").on(on_absent));
    refused(bus, AT_ONCE, ErrorKind::Missing, &["`it.security.absent`", "TopologyMode::Create"]).await;
}

#[derive(Debug, Serialize, Deserialize)]
struct Readable(u32);

impl IntegrationEvent for Readable {
    const TYPE: &'static str = "readable";
    const TOPIC: Option<&'static str> = Some("it.security.readable");
}

async fn on_readable(Event(_): Event<Readable>) {}

#[derive(Debug, Serialize, Deserialize)]
struct Withdrawn(String, u32);

impl IntegrationEvent for Withdrawn {
    const TYPE: &'static str = "withdrawn";
    const TOPIC: Option<&'static str> = Some("it.security.withdrawn");
}

type Seen = Arc<Mutex<Vec<(String, u32)>>>;

async fn on_withdrawn(Event(Withdrawn(run, number)): Event<Withdrawn>, State(seen): State<Seen>) {
    seen.lock().unwrap().push((run, number));
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The right to read a topic, and then the group's, is taken from a bus that runs, and given back.
async fn rights_that_are_taken_away_show_in_the_health_until_they_are_back() {
    let (place, seen, run) = (place(), Seen::default(), uuid::Uuid::now_v7().to_string());
    let group_name = format!("it.security.{run}");
    let subscription = group(&group_name).on(on_withdrawn);
    place.deny_to("alice", "Read", "topic", "it.security.withdrawn", false);
    let bus = bus(place.alice()).topology(TopologyMode::Create).subscribe(subscription).state(seen.clone());
    let bus = bus.start().await.unwrap();
    let has = |number: u32| seen.lock().unwrap().contains(&(run.clone(), number));
    bus.publish(Withdrawn(run.clone(), 1)).await.unwrap();
    until("the first", || has(1)).await;
    assert!(bus.health().is_up());

    let trouble = || bus.health().subscriptions[0].degraded.clone().unwrap_or_default();
    let mut number = 1;
    for (operation, kind, name, reason) in [
        ("Read", "topic", "it.security.withdrawn", "no right to read topic `it.security.withdrawn`"),
        ("All", "group", &*group_name, "Group authorization failed"),
    ] {
        place.deny_to("alice", operation, kind, name, true);
        until("the reason", || trouble().contains(reason)).await;
        // It stays, and does not come and go with each try.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            assert!(trouble().contains(reason), "{:?}: {}", begun.elapsed(), trouble());
            sleep(Duration::from_millis(5)).await;
        }
        println!("{}", trouble());
        place.deny_to("alice", operation, kind, name, false);
        until("the health", || bus.health().is_up()).await;
        number += 1;
        bus.publish(Withdrawn(run.clone(), number)).await.unwrap();
        until("what came after", || has(number)).await;
    }
    bus.shutdown(Duration::from_secs(10)).await.unwrap();
}

type Body = fn() -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! cases {
    ($($name:ident;)*) => {
        const CASES: &[(&str, Body)] = &[$((stringify!($name), || Box::pin($name())),)*];
    };
}

cases! {
    a_wrong_password;
    a_mechanism_that_is_not_offered;
    a_secret_that_librdkafka_would_quote;
    certificates_that_cannot_be_trusted;
    no_certificate_where_one_is_wanted;
    tls_here_and_not_there;
    a_broker_that_is_not_there;
    a_topic_that_is_denied;
    a_topic_that_may_be_found_but_not_read;
    a_group_that_is_denied;
    a_topic_that_is_missing;
    rights_that_are_taken_away_show_in_the_health_until_they_are_back;
}

fn main() -> ExitCode {
    let place = place();
    let absent = place.unavailable();
    let required = std::env::var("GULO_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name.trim() == "kafka"));
    let kind = absent.clone().unwrap_or_else(|| place.title());
    let trial = |(name, body): &(&str, Body)| {
        let (body, absent) = (*body, absent.clone());
        let ignored = absent.is_some() && !required;
        let case = move || match absent {
            Some(why) => Err(format!("GULO_REQUIRE names kafka: {why}").into()),
            None => {
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
                runtime.block_on(body());
                runtime.shutdown_background();
                Ok(())
            }
        };
        Trial::test(*name, case).with_kind(kind.clone()).with_ignored_flag(ignored)
    };
    libtest_mimic::run(&Arguments::from_args(), CASES.iter().map(trial).collect()).exit_code()
}
