//! A small service and its tests: of a command with a mock of what it publishes by, and of the whole application on the
//! test bus. Needs no broker:
//!
//! ```text
//! cargo test --example unit_testing --features testing
//! cargo run --example unit_testing --features testing     # one of the tests, told
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gulo::prelude::*;
use gulo::testing::TestBus;
use gulo::transport::Unsent;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", topic = "users", key = user_id)]
struct UserRegistered {
    user_id: u64,
    email: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "welcome.sent", topic = "welcomes", key = user_id)]
struct WelcomeSent {
    user_id: u64,
}

/// A command. It knows no bus: what it publishes by is given to it.
struct Registration {
    publisher: Arc<dyn EventPublisher>,
}

impl Registration {
    /// Registers users, and tells others of them.
    async fn register(&self, users: &[(u64, &str)]) -> Result<(), Unsent> {
        let event = |(user_id, email): &(u64, &str)| UserRegistered { user_id: *user_id, email: (*email).to_owned() };
        self.publisher.publish_all(users.iter().map(event)).await
    }
}

/// The mail server, as the service sees it. This one is busy as often as it is told.
#[derive(Debug, Clone, Default)]
struct Mailer {
    busy: Arc<Mutex<u32>>,
    sent: Arc<Mutex<Vec<String>>>,
}

impl Mailer {
    fn busy(times: u32) -> Self {
        Self { busy: Arc::new(Mutex::new(times)), ..Self::default() }
    }

    async fn send(&self, to: &str) -> Result<(), HandlerError> {
        // As long as mail servers take.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if *busy > 0 {
            *busy -= 1;
            return Err(HandlerError::new("the mail server is busy"));
        }
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(to.to_owned());
        Ok(())
    }
}

/// A handler: sends one mail to each new user, and says so.
async fn send_welcome(
    Event(user): Event<UserRegistered>,
    State(mailer): State<Mailer>,
    bus: Publish,
) -> Result<(), HandlerError> {
    if !user.email.contains('@') {
        return Err(HandlerError::new("that is no address").permanent());
    }
    mailer.send(&user.email).await?;
    bus.publish(WelcomeSent { user_id: user.user_id }).await?;
    Ok(())
}

/// What the sales department knows.
#[derive(Debug, Clone, Default)]
struct Contacts(Arc<Mutex<BTreeMap<u64, String>>>);

/// Another group's handler. A second time it changes nothing: events come at least once.
async fn add_contact(Event(user): Event<UserRegistered>, State(contacts): State<Contacts>) {
    contacts.0.lock().unwrap_or_else(PoisonError::into_inner).insert(user.user_id, user.email);
}

/// The whole application, but for its broker: `main` of the service adds `.transport(..)` and starts it, and so does its
/// test.
fn app(mailer: Mailer) -> BusBuilder {
    let email = Subscription::group("email")
        .concurrency(Concurrency::per_key(64))
        .retry(Retry::exponential(Duration::from_secs(10)).max_attempts(5))
        .on(send_welcome);
    let sales = Subscription::group("sales").on(add_contact);
    Bus::builder("user-service")
        .topic("welcomes", |t| t)
        .subscribe(email)
        .subscribe(sales)
        .state(mailer)
        .state(Contacts::default())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // RUST_LOG=gulo=debug shows what the bus does.
    let unless_said = tracing_subscriber::filter::LevelFilter::ERROR.into();
    let filter = tracing_subscriber::EnvFilter::builder().with_default_directive(unless_said).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let began = std::time::Instant::now();
    let bus = TestBus::start(app(Mailer::busy(2))).await?;
    let registration = Registration { publisher: Arc::new(bus.publisher()) };
    registration.register(&[(1, "ada@example.org"), (2, "no address")]).await?;
    bus.settle().await?;
    print!("{}", bus.log());
    println!("{}", bus.shutdown().await?);
    println!("all of it in {:?}", began.elapsed());
    Ok(())
}

/// A handler is a function.
#[cfg(test)]
mod a_handler {
    use super::*;

    #[tokio::test]
    async fn a_contact_is_added_once_however_often_its_event_comes() {
        let contacts = Contacts::default();
        for _ in 0..2 {
            let user = UserRegistered { user_id: 1, email: "ada@example.org".into() };
            add_contact(Event(user), State(contacts.clone())).await;
        }
        assert_eq!(contacts.0.lock().unwrap().len(), 1);
    }
}

/// The command alone. Nothing is encoded, nothing runs.
#[cfg(test)]
mod a_command {
    use gulo::testing::MockEventPublisher;
    use gulo::transport::Outcome;
    use gulo::{Error, ErrorKind, message::Message};

    use super::*;

    #[tokio::test]
    async fn registering_tells_of_each_user() {
        let mut publisher = MockEventPublisher::new();
        publisher.expect_publish_events().withf(|events| events[0].is::<UserRegistered>()).once().returning(|_| Ok(()));
        let registration = Registration { publisher: Arc::new(publisher) };
        registration.register(&[(1, "ada@example.org")]).await.expect("registers");
    }

    #[tokio::test]
    async fn a_user_that_nobody_could_be_told_of_is_an_error() {
        let mut publisher = MockEventPublisher::new();
        publisher.expect_publish_events().returning(|_| {
            let away = |_: &Message| Error::new(ErrorKind::Unavailable, "the broker is away");
            Err(Unsent::all(vec![Message::tombstone("users")], Outcome::NotSent, away))
        });
        let registration = Registration { publisher: Arc::new(publisher) };
        let unsent = registration.register(&[(1, "ada@example.org")]).await.expect_err("not told");
        assert_eq!(unsent.failed[0].outcome, Outcome::NotSent);
    }
}

/// The application as it is in production, on the test bus.
#[cfg(test)]
mod the_application {
    use std::error::Error;

    use gulo::dead_letter::Reason;
    use gulo::message::Message;

    use super::*;

    type Result = std::result::Result<(), Box<dyn Error>>;

    fn ada() -> UserRegistered {
        UserRegistered { user_id: 1, email: "ada@example.org".into() }
    }

    #[tokio::test]
    async fn a_new_user_gets_one_mail() -> Result {
        let mailer = Mailer::default();
        let bus = TestBus::start(app(mailer.clone())).await?;
        Registration { publisher: Arc::new(bus.publisher()) }.register(&[(1, "ada@example.org")]).await?;
        bus.settle().await?;
        assert_eq!(bus.published::<WelcomeSent>(), [WelcomeSent { user_id: 1 }]);
        assert_eq!(*mailer.sent.lock().unwrap(), ["ada@example.org"]);
        bus.shutdown().await?;
        Ok(())
    }

    /// Two minutes of back-off, and no waiting.
    #[tokio::test]
    async fn a_mail_server_that_is_busy_is_asked_again() -> Result {
        let bus = TestBus::start(app(Mailer::busy(4))).await?;
        bus.publish(ada()).await?;
        bus.settle().await?;
        assert_eq!(bus.handled::<UserRegistered>("email")[0].attempt, 5);
        assert!(bus.retried("email").iter().all(|retry| retry.error == "the mail server is busy"));
        bus.shutdown().await?;
        Ok(())
    }

    #[tokio::test]
    async fn a_mail_server_that_stays_busy_costs_nobody_his_mail_for_good() -> Result {
        let bus = TestBus::start(app(Mailer::busy(5))).await?;
        bus.publish(ada()).await?;
        bus.settle().await?;
        let letters = bus.dead_lettered("email");
        assert_eq!((letters[0].reason, letters[0].attempts), (Reason::AttemptsExhausted, 5));
        assert_eq!(letters[0].event::<UserRegistered>()?, ada());
        bus.shutdown().await?;
        Ok(())
    }

    #[tokio::test]
    async fn who_has_no_address_is_a_dead_letter_at_once_and_holds_up_nobody() -> Result {
        let bus = TestBus::start(app(Mailer::default())).await?;
        bus.publish_all([UserRegistered { user_id: 2, email: "no address".into() }, ada()]).await?;
        bus.settle().await?;
        let letters = bus.dead_lettered("email");
        assert_eq!((letters[0].reason, letters[0].error.as_str()), (Reason::Permanent, "that is no address"));
        assert_eq!(bus.handled::<UserRegistered>("email"), [ada()]);
        bus.shutdown().await?;
        Ok(())
    }

    /// What other software sends need not be what it should be.
    #[tokio::test]
    async fn a_poisoned_message_is_kept_with_its_bytes_and_holds_up_nobody() -> Result {
        let bus = TestBus::start(app(Mailer::default())).await?;
        let poison = Message::new("users", "{\"user_id\":").header("ce_type", "user.registered").key("1");
        bus.send(vec![poison]).await?;
        bus.publish(ada()).await?;
        bus.settle().await?;
        let letters = bus.dead_lettered("email");
        assert_eq!(letters[0].reason, Reason::Undecodable);
        assert_eq!(letters[0].letter.payload.as_deref(), Some(&b"{\"user_id\":"[..]));
        assert_eq!(bus.handled::<UserRegistered>("email"), [ada()]);
        bus.shutdown().await?;
        Ok(())
    }

    /// At least once: that is what the handler has to bear.
    #[tokio::test]
    async fn after_a_crash_a_mail_may_go_out_twice_and_never_not_at_all() -> Result {
        let mailer = Mailer::default();
        let again = mailer.clone();
        let bus = TestBus::with(move || app(again.clone())).await?;
        bus.publish(ada()).await?;
        bus.settle().await?;
        // The process dies before it has made durable that it was done.
        let bus = bus.crash().await?;
        bus.settle().await?;
        assert_eq!(mailer.sent.lock().unwrap().len(), 2);
        bus.shutdown().await?;
        Ok(())
    }

    #[tokio::test]
    async fn while_the_broker_is_away_nothing_is_lost() -> Result {
        let bus = TestBus::start(app(Mailer::default())).await?;
        bus.publish(ada()).await?;
        bus.faults().down();
        bus.advance(Duration::from_secs(600)).await;
        assert!(!bus.health().is_up());
        bus.faults().up();
        bus.settle().await?;
        assert_eq!(bus.published::<WelcomeSent>().len(), 1);
        bus.shutdown().await?;
        Ok(())
    }
}
