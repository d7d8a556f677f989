//! Consumers and publishers that are started and stopped.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use gulo_application::consumer::IntegrationEventConsumer;
use gulo_application::publisher::IntegrationEventPublisher;
use gulo_bus_core::ErrorKind;
use gulo_bus_core::event_publisher::{EventPublisher, EventPublisherExt};
use gulo_bus_core::handler::{Context, Event, Handler, HandlerResult, State};
use gulo_bus_core::transport::Outcome;
use gulo_transport_memory::MemoryTransport;
use tokio::time::{sleep, timeout};
use tracing_subscriber::fmt::MakeWriter;

use support::{AddressChanged, UserRegistered};

const SOON: Duration = Duration::from_secs(10);

type Seen = Arc<Mutex<Vec<String>>>;

async fn registered(Event(user): Event<UserRegistered>, State(seen): State<Seen>) {
    seen.lock().expect("whole").push(user.user_id.to_string());
}

struct Changed(Seen);

impl Handler<()> for Changed {
    type Event = AddressChanged;

    fn call(&self, event: AddressChanged, _: &Context<'_>) -> BoxFuture<'static, HandlerResult> {
        self.0.lock().expect("whole").push(event.0);
        Box::pin(async { Ok(()) })
    }
}

fn consumer(transport: &MemoryTransport, seen: &Seen) -> IntegrationEventConsumer {
    let seen = Arc::clone(seen);
    IntegrationEventConsumer::new("email-service", "email", transport.clone())
        .register(registered)
        .register(Changed(Arc::clone(&seen)))
        .bus(|bus| bus.state(seen))
}

fn publisher(transport: &MemoryTransport) -> IntegrationEventPublisher {
    IntegrationEventPublisher::new("user-service", transport.clone()).bus(|bus| bus.topic("users", |topic| topic))
}

async fn until(seen: &Seen, count: usize) {
    let all = async {
        while seen.lock().expect("whole").len() < count {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, all).await.expect("handled");
}

#[tokio::test(start_paused = true)]
async fn functions_and_types_are_registered_and_work_in_the_background_until_they_are_stopped() {
    let (transport, seen) = (MemoryTransport::new(), Seen::default());
    let (consumer, publisher) = (consumer(&transport, &seen), publisher(&transport));
    assert!(!consumer.is_running() && consumer.health().is_none());
    consumer.start().await.expect("starts");
    assert!(consumer.is_running() && consumer.health().expect("runs").is_up());
    publisher.start().await.expect("starts");
    publisher.publish(UserRegistered { user_id: 1 }).await.expect("published");
    publisher.publish_many([AddressChanged("Rome".into()), AddressChanged("Oslo".into())]).await.expect("published");
    until(&seen, 3).await;
    let report = consumer.stop(SOON).await.expect("stops");
    assert!(!consumer.is_running());
    assert!(report.to_string().contains("email"), "{report}");
    publisher.publish(UserRegistered { user_id: 2 }).await.expect("published");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(seen.lock().expect("whole").len(), 3, "stopped is stopped");

    consumer.start().await.expect("starts again");
    until(&seen, 4).await;
    consumer.stop(SOON).await.expect("stops");
    consumer.stop(SOON).await.expect("there is nothing to stop");
    publisher.close(SOON).await.expect("closes");
    let all = seen.lock().expect("whole");
    assert_eq!(*all, ["1", "Rome", "Oslo", "2"], "each once, and none is missing");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_runs_until_a_signal() {
    let (transport, seen) = (MemoryTransport::new(), Seen::default());
    let (consumer, publisher) = (consumer(&transport, &seen), publisher(&transport));
    publisher.start().await.expect("starts");
    publisher.publish(UserRegistered { user_id: 1 }).await.expect("published");
    let report = consumer.run_until(until(&seen, 1), SOON).await.expect("runs and stops");
    assert!(report.to_string().contains("email"), "{report}");
    assert!(!consumer.is_running());
    publisher.close(SOON).await.expect("closes");
}

#[tokio::test(start_paused = true)]
async fn what_is_started_twice_says_so() {
    let transport = MemoryTransport::new();
    let (consumer, publisher) = (consumer(&transport, &Seen::default()), publisher(&transport));
    consumer.start().await.expect("starts");
    publisher.start().await.expect("starts");
    let twice = [consumer.start().await.expect_err("twice"), publisher.start().await.expect_err("twice")];
    for (error, what) in twice.iter().zip(["consumer", "publisher"]) {
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(error.to_string(), format!("the {what} is running already (stop it before it is started again)"));
    }
    consumer.stop(SOON).await.expect("stops");
    publisher.close(SOON).await.expect("closes");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_does_not_run_sends_nothing_and_says_why() {
    let publisher = publisher(&MemoryTransport::new());
    let said = async |publisher: &IntegrationEventPublisher| {
        let both = vec![UserRegistered { user_id: 1 }.into(), AddressChanged("Rome".into()).into()];
        let unsent = publisher.publish_events(both).await.expect_err("does not run");
        assert_eq!(unsent.failed.iter().map(|one| one.index).collect::<Vec<_>>(), [0, 1]);
        assert!(unsent.failed.iter().all(|one| one.outcome == Outcome::NotSent));
        assert_eq!(&*unsent.failed[0].message.topic, "users");
        unsent.failed[0].error.to_string()
    };
    assert_eq!(said(&publisher).await, "the publisher is not started (call `start()` first)");
    publisher.start().await.expect("starts");
    (&publisher as &dyn EventPublisher).publish(UserRegistered { user_id: 1 }).await.expect("published");
    publisher.close(SOON).await.expect("closes");
    let closed = said(&publisher).await;
    assert_eq!(closed, "the publisher is closed (publish before it is closed, or start it again)");
    publisher.close(SOON).await.expect("there is nothing to close");
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("whole").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_dropped_while_it_runs_warns_and_who_was_closed_does_not() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(lines.clone()).finish();
    let _on = tracing::subscriber::set_default(subscriber);
    let warned = || {
        let text = String::from_utf8(std::mem::take(&mut *lines.0.lock().expect("whole"))).expect("text");
        text.lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect::<Vec<_>>()
    };
    let transport = MemoryTransport::new();
    for closes in [false, true] {
        let (consumer, publisher) = (consumer(&transport, &Seen::default()), publisher(&transport));
        consumer.start().await.expect("starts");
        publisher.start().await.expect("starts");
        if closes {
            consumer.stop(SOON).await.expect("stops");
            publisher.close(SOON).await.expect("closes");
        }
        drop((consumer, publisher));
        let warned = warned();
        let expected =
            ["what its handlers have not finished is delivered again", "what is being published may not arrive"];
        assert_eq!(warned.len(), if closes { 0 } else { 2 }, "{warned:?}");
        assert!(warned.iter().zip(expected).all(|(line, expected)| line.contains(expected)), "{warned:?}");
    }
}

#[test]
fn both_show_how_they_are_and_no_more() {
    let transport = MemoryTransport::new();
    let shown = format!("{:?} {:?}", consumer(&transport, &Seen::default()), publisher(&transport));
    assert!(shown.contains("not started"), "{shown}");
}

/// Two probes at a time are no reason to say that it does not run.
#[tokio::test]
async fn health_is_there_for_all_who_ask_at_the_same_time() {
    let (transport, seen) = (MemoryTransport::new(), Seen::default());
    let consumer = consumer(&transport, &seen);
    consumer.start().await.expect("starts");
    std::thread::scope(|scope| {
        let ask = || (0..20_000).all(|_| consumer.health().is_some());
        let asked: Vec<_> = (0..2).map(|_| scope.spawn(ask)).collect();
        assert!(asked.into_iter().all(|asked| asked.join().expect("no panic")), "it ran all the time");
    });
    consumer.stop(Duration::from_secs(10)).await.expect("stops");
    assert!(consumer.health().is_none());
}

/// Not that of this library.
#[tokio::test]
async fn what_is_registered_is_named_with_the_place_where_it_was() {
    let consumer = IntegrationEventConsumer::new("email-service", "email", MemoryTransport::new()).register(registered);
    let error = consumer.start().await.expect_err("no state").to_string();
    assert!(error.contains("registered in group email at application/tests/lifecycle.rs:"), "{error}");
}
