//! A whole application in a test: requests in, events out, handled by its own groups, in virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gulo::domain::{AnyDomainEvent, DomainEvent};
use gulo::mapper::EventMapper;
use gulo::mediator::{
    Handled, Logging, Mediate, Mediator, Problems, Request, RequestErrorKind, RequestMeta, Validation,
};
use gulo::prelude::*;
use gulo::publishing::{IntegrationEventMediator, OnPublishFailure, integration_event_mediator};
use gulo::testing::{MockEventPublisher, TestBus};
use gulo::transport::{Outcome, Unsent};
use gulo::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", topic = "users", key = user_id)]
struct UserRegistered {
    user_id: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.welcomed", topic = "users", key = user_id)]
struct UserWelcomed {
    user_id: u64,
}

struct UserCreated {
    user_id: u64,
}

impl DomainEvent for UserCreated {
    fn aggregate(&self) -> Option<Aggregate> {
        Some(Aggregate::new("user", self.user_id.to_string()))
    }
}

/// An aggregate that remembers what happened to it.
struct User {
    id: u64,
    happened: Vec<AnyDomainEvent>,
}

impl User {
    fn create(id: u64) -> Self {
        Self { id, happened: vec![UserCreated { user_id: id }.into()] }
    }
}

struct CreateUser(u64);

impl Request for CreateUser {
    type Response = u64;

    fn validate(&self, problems: &mut Problems) {
        problems.require(self.0 != 0, "user_id", "is 0");
    }
}

struct Welcome(u64);

impl Request for Welcome {
    type Response = ();
}

async fn create_user(CreateUser(id): CreateUser) -> Handled<u64> {
    let user = User::create(id);
    Handled::new(user.id).raise_all(user.happened)
}

async fn welcome(Welcome(user_id): Welcome) -> Handled<()> {
    Handled::new(()).emit(UserWelcomed { user_id })
}

type Application = Arc<IntegrationEventMediator<Mediator>>;

fn application(publisher: Arc<dyn EventPublisher>, on_failure: OnPublishFailure) -> Application {
    let mediator = Mediator::builder().behaviour(Logging).behaviour(Validation).handle(create_user).handle(welcome);
    let mapper = EventMapper::new().map(|user: &UserCreated| UserRegistered { user_id: user.user_id }).require_all();
    let mediator = mediator.build().expect("builds");
    Arc::new(integration_event_mediator(mediator, publisher, mapper, on_failure).expect("sets up"))
}

/// Welcomes at the third attempt, by a request of its own.
async fn on_registered(Event(user): Event<UserRegistered>, attempt: Attempt, bus: Publish) -> Result<(), HandlerError> {
    if attempt.0 < 3 {
        return Err(HandlerError::new("the mail server is busy"));
    }
    let application = application(Arc::new(bus), OnPublishFailure::FailRequest);
    application.send(Welcome(user.user_id)).await?;
    Ok(())
}

fn bus() -> BusBuilder {
    let retry = Retry::fixed(Duration::from_secs(3600)).max_attempts(5);
    Bus::builder("user-service").subscribe(Subscription::group("email").retry(retry).on(on_registered))
}

#[tokio::test]
async fn a_request_leads_to_events_that_are_handled_after_hours_of_retries_in_one_conversation() {
    let bus = TestBus::start(bus()).await.expect("starts");
    let application = application(Arc::new(bus.publisher()), OnPublishFailure::FailRequest);
    let request = RequestMeta::correlated("http-1");
    assert_eq!(application.send_as(CreateUser(7), request.clone()).await.expect("published"), 7);
    bus.settle_within(Duration::from_secs(24 * 3600)).await.expect("settles");

    let registered = bus.published::<UserRegistered>();
    assert_eq!(registered, [UserRegistered { user_id: 7 }]);
    let meta = &registered[0].meta;
    assert_eq!((meta.correlation_id.as_deref(), &meta.causation_id), (Some("http-1"), &Some(request.id)));
    assert_eq!((&*meta.source, &meta.aggregate), ("user-service", &Some(Aggregate::new("user", "7"))));

    let welcomed = bus.published::<UserWelcomed>();
    assert_eq!(welcomed, [UserWelcomed { user_id: 7 }]);
    assert_eq!(welcomed[0].meta.correlation_id.as_deref(), Some("http-1"));
    assert_eq!(bus.handled::<UserRegistered>("email")[0].attempt, 3);
    bus.shutdown().await.expect("nothing is left");
}

#[tokio::test]
async fn what_is_not_valid_leads_to_nothing() {
    let bus = TestBus::start(bus()).await.expect("starts");
    let application = application(Arc::new(bus.publisher()), OnPublishFailure::FailRequest);
    let error = application.send(CreateUser(0)).await.expect_err("refused");
    assert_eq!(error.kind(), RequestErrorKind::Invalid);
    bus.settle().await.expect("settles");
    assert!(bus.published::<UserRegistered>().is_empty());
    bus.shutdown().await.expect("nothing is left");
}

/// The broker goes away: who keeps loses nothing, and keeps the order of each user.
#[tokio::test]
async fn what_happened_while_the_broker_was_away_is_published_when_it_is_back_in_its_order() {
    let bus = TestBus::start(Bus::builder("user-service").topic("users", |topic| topic)).await.expect("starts");
    let told: Arc<Mutex<usize>> = Arc::default();
    let count = Arc::clone(&told);
    let keep = OnPublishFailure::keep("alarm", move |failure| *count.lock().expect("whole") += failure.events.len());
    let application = application(Arc::new(bus.publisher()), keep);
    bus.faults().down();
    for user_id in 1..=3 {
        application.send(CreateUser(user_id)).await.expect("it was handled");
        application.send(Welcome(user_id)).await.expect("it was handled");
    }
    assert_eq!((*told.lock().expect("whole"), application.kept().expect("keeps").len()), (6, 6));
    bus.faults().up();
    bus.advance(Duration::from_secs(120)).await;
    assert!(application.kept().expect("keeps").is_empty());
    let messages = bus.messages("users");
    let of = |user: &str| -> Vec<_> {
        let of_user = messages.iter().filter(|message| message.key.as_deref() == Some(user.as_bytes()));
        of_user.map(|message| message.headers.get_str("ce_type").unwrap_or_default()).collect()
    };
    for user in ["1", "2", "3"] {
        assert_eq!(of(user), ["user.registered", "user.welcomed"], "user {user}");
    }
    bus.shutdown().await.expect("nothing is left");
}

#[tokio::test]
async fn a_command_is_tested_with_a_mock_and_no_bus() {
    let mut publisher = MockEventPublisher::new();
    publisher.expect_publish_events().withf(|events| events[0].is::<UserRegistered>()).once().returning(|events| {
        assert_eq!(events[0].meta("user-service").aggregate, Some(Aggregate::new("user", "7")));
        let away = |_: &Message| Error::new(ErrorKind::Unavailable, "the broker is away");
        Err(Unsent::all(vec![Message::tombstone("users")], Outcome::NotSent, away))
    });
    let application = application(Arc::new(publisher), OnPublishFailure::FailRequest);
    let error = application.send(CreateUser(7)).await.expect_err("not published");
    assert_eq!(error.kind(), RequestErrorKind::NotPublished);
    assert_eq!(error.unsent().expect("says what").failed[0].outcome, Outcome::NotSent);
}
