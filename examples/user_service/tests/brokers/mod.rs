//! The same walk on real brokers, the services as processes of their own.

use std::net::TcpStream;

use libtest_mimic::Trial;
#[cfg(feature = "broker")]
use serde_json::json;

#[cfg(feature = "amqp")]
use crate::program::PATIENCE;
#[cfg(feature = "broker")]
use crate::program::{Program, ask, listens_at};
#[cfg(feature = "broker")]
use crate::walk;

/// The services on a real broker, in an environment of their own.
#[cfg(feature = "broker")]
struct Services {
    settings: Vec<(&'static str, String)>,
}

#[cfg(feature = "broker")]
impl Services {
    fn new(environment: &str, broker: &str, (variable, address): (&'static str, &str)) -> Self {
        let all = [("BROKER", broker), (variable, address), ("ENVIRONMENT", environment), ("RUST_LOG", "warn")];
        Self { settings: all.map(|(name, value)| (name, value.to_owned())).into() }
    }

    fn start(&self, name: &'static str, path: &'static str) -> Program {
        Program::start(name, path, &self.settings)
    }

    /// All of them, the walk, and the end of all of them.
    fn walk(&self) {
        let start = |name, path| self.start(name, path);
        let mut email = start("email", env!("CARGO_BIN_EXE_email"));
        let mut crm = start("crm", env!("CARGO_BIN_EXE_crm"));
        let mut analytics = start("analytics", env!("CARGO_BIN_EXE_analytics"));
        for consumer in [&email, &crm, &analytics] {
            consumer.until(&["ready"]);
        }
        let mut users = start("users", env!("CARGO_BIN_EXE_users"));
        walk(&listens_at(&users), &email, &crm, &analytics);
        for program in [&mut users, &mut email, &mut crm, &mut analytics] {
            program.stop();
        }
    }

    /// What was finished does not come again.
    fn nothing_comes_again(&self) {
        let mut email = self.start("email", env!("CARGO_BIN_EXE_email"));
        email.until(&["ready"]);
        let again = self.one_more(&email);
        email.stop();
        assert_eq!(email.count("email: welcome"), 1, "{again}: {:#?}", email.lines());
    }

    /// One more user, so that there is something to wait for.
    fn one_more(&self, email: &Program) -> String {
        let mut users = self.start("users", env!("CARGO_BIN_EXE_users"));
        let address = listens_at(&users);
        let dan = json!({ "name": "Dan", "email": "dan@example.org" });
        assert_eq!(ask(&address, "POST", "/users", "walk-10", Some(dan)).status, 201);
        let line = email.until(&["email: welcome, Dan"]);
        users.stop();
        line
    }
}

#[cfg(feature = "broker")]
fn an_environment() -> String {
    format!("walk-{}", uuid::Uuid::new_v4().simple())
}

/// The letters lie in a queue: who reads them takes them.
#[cfg(feature = "amqp")]
fn on_rabbitmq(url: &str) {
    let environment = an_environment();
    let services = Services::new(&environment, "amqp", ("AMQP_URL", url));
    services.walk();
    let letter = the_letter_of_the_queue(url, format!("{environment}.users.email.dlq"));
    let said = |name| letter.headers.get_str(name);
    assert_eq!((said("ce_type"), said("dead-letter-reason")), (Some("user.registered"), Some("permanent")));
    assert_eq!(said("ce_correlationid"), Some("walk-8"));
    services.nothing_comes_again();
}

#[cfg(feature = "amqp")]
fn the_letter_of_the_queue(url: &str, topic: String) -> gulo::message::Message {
    use gulo::prelude::*;
    let (found, letters) = std::sync::mpsc::channel();
    let found = std::sync::Mutex::new(found);
    let take = move |message: Message| {
        let sent = found.lock().is_ok_and(|found| found.send(message).is_ok());
        std::future::ready(if sent { Ok(()) } else { Err("nobody looks") })
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let transport = AmqpTransport::new(AmqpConfig::new(url));
        let bus =
            Bus::builder("letters").transport(transport).subscribe(Subscription::group("look").on_raw(topic, take));
        let bus = bus.start().await.expect("a queue");
        let letter = letters.recv_timeout(PATIENCE).expect("a letter");
        bus.shutdown(PATIENCE).await.expect("an end");
        assert!(letters.try_recv().is_err(), "one only");
        letter
    })
}

#[cfg(feature = "kafka")]
fn on_kafka(servers: &str) {
    let environment = an_environment();
    let services = Services::new(&environment, "kafka", ("KAFKA_BOOTSTRAP_SERVERS", servers));
    services.walk();
    let letters = services.start("letters", env!("CARGO_BIN_EXE_letters"));
    letters.until(&["dead letter: walk-", ".users.email.dlq[", "permanent, 1 attempt"]);
    letters.until(&["the mail server knows no such host"]);
    the_dead_letter(servers, &environment);
    services.nothing_comes_again();
}

/// As it stands in its topic, for who looks at it without this program.
#[cfg(feature = "kafka")]
fn the_dead_letter(servers: &str, environment: &str) {
    use gulo::dead_letters::{DeadLetters, Reason};
    use gulo::kafka::{KafkaConfig, KafkaTransport};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let kafka = std::sync::Arc::new(KafkaTransport::new(KafkaConfig::new(servers)));
    let letters = runtime.block_on(async {
        let mut letters =
            DeadLetters::new(kafka).open(format!("{environment}.users.email.dlq")).await.expect("a topic");
        letters.read_all(10).await.expect("letters")
    });
    let [letter] = &letters[..] else { panic!("{letters:#?}") };
    assert_eq!((&letter.reason, letter.attempts), (&Reason::Permanent, Some(1)));
    assert_eq!(letter.origin.topic.as_deref(), Some(&*format!("{environment}.users")));
    assert_eq!(letter.origin.group.as_deref(), Some(&*format!("{environment}.email")));
    for (name, value) in [("ce_type", "user.registered"), ("ce_source", "user-service"), ("ce_correlationid", "walk-8")]
    {
        assert_eq!(letter.headers.get_str(name), Some(value));
    }
    let eve = letter.json::<user_service::events::UserRegistered>().expect("a user");
    assert_eq!((&*eve.email, letter.key_text().as_deref()), ("eve@poison", Some(&*eve.user_id.to_string())));
}

/// `None` where it is not built for that broker.
pub(crate) type Walk = Option<fn(&str)>;

#[cfg(feature = "kafka")]
pub(crate) const KAFKA: Walk = Some(on_kafka);
#[cfg(not(feature = "kafka"))]
pub(crate) const KAFKA: Walk = None;
#[cfg(feature = "amqp")]
pub(crate) const AMQP: Walk = Some(on_rabbitmq);
#[cfg(not(feature = "amqp"))]
pub(crate) const AMQP: Walk = None;

pub(crate) fn on_a_broker(broker: &'static str, variable: &str, usually: &str, walk: Walk) -> Trial {
    let name = format!("five_services_on_{broker}");
    let Some(walk) = walk else {
        let kind = format!("built without the feature `{broker}`");
        return Trial::test(name, || Ok(())).with_kind(kind).with_ignored_flag(true);
    };
    let address = std::env::var(variable).unwrap_or_else(|_| usually.into());
    let first = host_of(&address);
    let required = std::env::var("GULO_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name.trim() == broker));
    let absent = TcpStream::connect(&first).is_err();
    let kind = if absent { format!("no {broker} answers at {first}") } else { format!("{broker} at {first}") };
    let why = kind.clone();
    let run = move || {
        if absent {
            return Err(format!("GULO_REQUIRE names {broker}: {why}").into());
        }
        walk(&address);
        Ok(())
    };
    Trial::test(name, run).with_kind(kind).with_ignored_flag(absent && !required)
}

/// Host and port, of the first where there are several.
fn host_of(address: &str) -> String {
    let first = address.split(',').next().unwrap_or_default();
    let without_scheme = first.split_once("://").map_or(first, |(_, rest)| rest);
    let authority = without_scheme.split('/').next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default().to_owned()
}
