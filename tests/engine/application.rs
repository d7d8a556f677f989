//! From a request to a handler in another service, and on from there: mediator, mapper, publisher and consumer on every
//! broker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gulo::consumer::IntegrationEventConsumer;
use gulo::domain::{DomainEvent, Events, NotCollected};
use gulo::mapper::EventMapper;
use gulo::mediator::{Handled, Mediate, Mediator, Request, RequestMeta};
use gulo::prelude::*;
use gulo::publisher::IntegrationEventPublisher;
use gulo::publishing::{IntegrationEventMediator, OnPublishFailure, integration_event_mediator};

use crate::bench::Bench;
use crate::shared::{Log, Step, step};

/// Orders of this number lead to nothing further.
const LAST: u32 = 100;

struct Advance(Step);
impl Request for Advance {
    type Response = Step;
}

struct Advanced(Step);
impl DomainEvent for Advanced {}

/// Of one step come two events, one raised and one given back.
async fn advance(Advance(at): Advance, events: Events) -> Result<Handled<Step>, NotCollected> {
    events.raise(Advanced(at))?;
    Ok(Handled::new(at).emit(step(at.order, at.number + 1)))
}

type Service = Arc<IntegrationEventMediator<Mediator>>;

fn service(publisher: Arc<dyn EventPublisher>) -> Service {
    let mediator = Mediator::builder().handle(advance).build().expect("builds");
    let mapper = EventMapper::new().map(|Advanced(step): &Advanced| *step);
    Arc::new(integration_event_mediator(mediator, publisher, mapper, OnPublishFailure::FailRequest).expect("sets up"))
}

type Metas = Arc<Mutex<Vec<(Step, EventMeta)>>>;

/// A handler whose own mediator goes on with what it is told.
async fn goes_on(
    Event(step): Event<Step>,
    Meta(meta): Meta,
    State(metas): State<Metas>,
    State(service): State<Service>,
    State(log): State<Log>,
) -> Result<(), HandlerError> {
    metas.lock().unwrap().push((step, (*meta).clone()));
    if step.order < LAST && step.number == 1 {
        service.send(Advance(Step { order: step.order + LAST, number: 1 })).await?;
    }
    log.done(step);
    Ok(())
}

pub async fn what_a_request_led_to_is_handled_elsewhere_and_led_on_in_one_conversation(bench: Bench) {
    let publisher = Bus::builder("orders").shared_transport(bench.client());
    let publisher = publisher.topic(bench.topic.clone(), |topic| topic).start().await.expect("starts");
    let (metas, service) = (Metas::default(), service(Arc::new(publisher.publisher())));
    let bus = bench.bus(bench.subscription().on(goes_on)).state(metas.clone()).state(Arc::clone(&service));
    let bus = bus.start().await.expect("starts");

    let request = RequestMeta::correlated("http-1");
    service.send_as(Advance(step(1, 1)), request.clone()).await.expect("published");
    bench.until_done([step(1, 1), step(1, 2), step(1 + LAST, 1), step(1 + LAST, 2)]).await;
    bus.shutdown(Duration::from_secs(20)).await.expect("clean");
    publisher.shutdown(Duration::from_secs(20)).await.expect("clean");

    let metas = metas.lock().unwrap();
    assert_eq!(metas.len(), 4, "{metas:?}");
    assert!(metas.iter().all(|(_, meta)| meta.correlation_id.as_deref() == Some("http-1")), "{metas:?}");
    let of = |wanted: Step| &metas.iter().find(|(step, _)| *step == wanted).expect("handled").1;
    assert_eq!(of(step(1, 2)).causation_id.as_ref(), Some(&request.id));
    assert_eq!((&*of(step(1, 1)).source, &*of(step(1, 1)).event_type), ("orders", Step::TYPE));
    let second = [of(step(1 + LAST, 1)), of(step(1 + LAST, 2))];
    assert_eq!(second[0].causation_id, second[1].causation_id, "both are of the request of the handler");
    assert_ne!(second[0].causation_id.as_ref(), Some(&request.id));
}

async fn notes(Event(step): Event<Step>, State(log): State<Log>) {
    log.done(step);
}

pub async fn a_consumer_that_is_stopped_and_started_again_loses_nothing_and_repeats_nothing(bench: Bench) {
    let (client, log, topic) = (bench.client(), bench.log.clone(), bench.topic.clone());
    let consumer = IntegrationEventConsumer::shared("emails", bench.group.clone(), client).register(notes);
    let consumer = consumer.bus(|bus| bus.topic(topic, |topic| topic.partitions(1)).state(log));
    let publisher = IntegrationEventPublisher::shared("orders", bench.client());
    consumer.start().await.expect("starts");
    publisher.start().await.expect("starts");
    publisher.publish_many([step(1, 1), step(1, 2)]).await.expect("confirmed");
    bench.until_done([step(1, 1), step(1, 2)]).await;
    consumer.stop(Duration::from_secs(20)).await.expect("clean");
    publisher.publish(step(1, 3)).await.expect("confirmed");
    consumer.start().await.expect("starts again");
    bench.until_done([step(1, 3)]).await;
    consumer.stop(Duration::from_secs(20)).await.expect("clean");
    publisher.close(Duration::from_secs(20)).await.expect("clean");
    assert_eq!(bench.log.texts(), ["1.1 done", "1.2 done", "1.3 done"]);
    assert_eq!(bench.redelivered().await, []);
}
