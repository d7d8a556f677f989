//! Events that are kept are published in the end, whatever becomes of who was to try again.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gulo_application::domain::{Events, NotCollected};
use gulo_application::mediator::{Mediate, Mediator, Request};
use gulo_application::publishing::{IntegrationEventMediator, OnPublishFailure, integration_event_mediator};
use gulo_bus_core::event_publisher::{AnyEvent, EventPublisher};
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::Outcome::{NotSent, Refused};
use gulo_bus_core::transport::{Failed, Unsent};
use gulo_bus_core::{Error, ErrorKind};
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

use support::{AddressChanged, Scripted, mapper};

struct Move(&'static str);
impl Request for Move {
    type Response = ();
}

async fn moved(Move(city): Move, events: Events) -> Result<(), NotCollected> {
    events.emit(AddressChanged(city.to_owned()))
}

fn keeping(publisher: Arc<dyn EventPublisher>) -> IntegrationEventMediator<Mediator> {
    let mediator = Mediator::builder().handle(moved).build().expect("builds");
    integration_event_mediator(mediator, publisher, mapper(), OnPublishFailure::keep("test", |_| {})).expect("sets up")
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
}

/// Services have several: one for each test, one for each thread.
#[test]
fn what_is_kept_is_published_though_the_runtime_that_was_to_do_it_is_gone() {
    let publisher = Scripted::new().fails(&[(0, NotSent)]);
    let mediator = keeping(publisher.clone());
    let first = runtime();
    first.block_on(mediator.send(Move("Rome"))).expect("handled");
    drop(first);
    runtime().block_on(async {
        mediator.send(Move("Oslo")).await.expect("handled");
        sleep(Duration::from_secs(60)).await;
    });
    assert_eq!(publisher.batches(), [vec!["Rome"], vec!["Rome", "Oslo"]]);
    assert_eq!(mediator.kept().expect("keeps").len(), 0);
}

/// Fails the first time, so.
struct FailsOnce(Arc<Scripted>, Mutex<Vec<Failed>>, AtomicUsize);

#[async_trait]
impl EventPublisher for FailsOnce {
    async fn publish_events(&self, events: Vec<AnyEvent>) -> Result<(), Unsent> {
        if self.2.fetch_add(1, Relaxed) == 0 {
            return Err(Unsent { failed: std::mem::take(&mut *self.1.lock().expect("whole")) });
        }
        self.0.publish_events(events).await
    }
}

/// Is kept after the first time, and published.
async fn is_kept(failed: Vec<Failed>) {
    let publisher = Scripted::new();
    let mediator = keeping(Arc::new(FailsOnce(publisher.clone(), Mutex::new(failed), AtomicUsize::new(0))));
    mediator.send(Move("Rome")).await.expect("handled");
    assert_eq!(mediator.kept().expect("keeps").len(), 1);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(publisher.batches(), [["Rome"]]);
}

#[tokio::test(start_paused = true)]
async fn what_a_publisher_fails_without_naming_it_is_kept() {
    is_kept(Vec::new()).await;
}

/// Whoever is to read it has not been started yet.
#[tokio::test(start_paused = true)]
async fn what_finds_no_topic_is_kept_until_there_is_one() {
    let error = Error::new(ErrorKind::Missing, "no queue takes messages of topic users");
    is_kept(vec![Failed { index: 0, message: Message::tombstone("users"), outcome: Refused, error }]).await;
}

/// Panics the second time, and passes on what comes besides.
struct Fragile(Arc<Scripted>, AtomicUsize);

#[async_trait]
impl EventPublisher for Fragile {
    async fn publish_events(&self, events: Vec<AnyEvent>) -> Result<(), Unsent> {
        assert_ne!(self.1.fetch_add(1, Relaxed), 1, "the second time");
        self.0.publish_events(events).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_panics_keeps_nobody_from_trying_again() {
    let publisher = Scripted::new().fails(&[(0, NotSent)]);
    let mediator = keeping(Arc::new(Fragile(publisher.clone(), AtomicUsize::new(0))));
    mediator.send(Move("Rome")).await.expect("handled");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(publisher.batches(), [["Rome"], ["Rome"]]);
    assert_eq!(mediator.kept().expect("keeps").len(), 0);
}
