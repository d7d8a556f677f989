//! What a configuration says of a service's bus: who it is, its group, retries and dead letters.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use gulo::prelude::*;
use gulo::transport::Position;
use gulo::{ErrorKind, ServiceConfig};

use support::{Gated, Paid, Step};

fn orders() -> ServiceConfig {
    let mut config = ServiceConfig::default();
    (config.name, config.group) = (Some("shop".into()), Some("billing".into()));
    config
}

async fn fails(Event(_): Event<Paid>, State(attempts): State<Arc<AtomicU32>>) -> Result<(), HandlerError> {
    attempts.fetch_add(1, SeqCst);
    Err(HandlerError::new("no"))
}

/// Runs a group whose handler always fails with one message, and says how often it was tried.
async fn tried(config: &ServiceConfig, gated: &Gated, until: impl Fn(&[Step]) -> bool) -> u32 {
    let attempts = Arc::new(AtomicU32::new(0));
    let group = Subscription::configured(config).expect("a group").on(fails);
    let bus = Bus::configured(config).expect("a service").transport(gated.clone()).subscribe(group);
    let bus = bus.state(attempts.clone()).start().await.expect("starts");
    bus.publish(Paid::of(1, 0)).await.expect("published");
    gated.until("the end of the message", until).await;
    bus.shutdown(Duration::from_secs(5)).await.expect("clean");
    attempts.load(SeqCst)
}

#[tokio::test(start_paused = true)]
async fn attempts_and_the_suffix_of_dead_letters_are_those_of_the_configuration() {
    for (attempts, suffix) in [(3, ".dlq"), (2, ".dead")] {
        let (gated, mut config) = (Gated::new(), orders());
        (config.max_attempts, config.dead_letter_suffix) = (attempts, suffix.into());
        let letter = Step::Confirmed(format!("orders.billing{suffix}"));
        assert_eq!(tried(&config, &gated, |steps| steps.contains(&letter)).await, attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn without_dead_letters_what_cannot_be_handled_is_discarded() {
    let (gated, mut config) = (Gated::new(), orders());
    config.dead_letters = false;
    assert_eq!(tried(&config, &gated, |steps| steps.contains(&Step::Settled(1))).await, 3);
    let confirmed = gated.steps().iter().filter(|step| matches!(step, Step::Confirmed(_))).count();
    assert_eq!(confirmed, 1, "the event alone");
}

#[tokio::test(start_paused = true)]
async fn events_that_name_no_topic_go_where_the_configuration_says() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Unnamed;
    impl IntegrationEvent for Unnamed {
        const TYPE: &'static str = "OrderPlaced";
    }
    let (gated, mut config) = (Gated::new(), orders());
    config.default_topic_prefix = "facts".into();
    let bus = Bus::configured(&config).expect("a service").transport(gated.clone());
    let bus = bus.topic("facts.order_placed", |topic| topic).start().await.expect("starts");
    bus.publish(Unnamed).await.expect("published");
    assert!(gated.steps().contains(&Step::Confirmed("facts.order_placed".into())));
    bus.shutdown(Duration::from_secs(5)).await.expect("clean");
}

#[tokio::test(start_paused = true)]
async fn a_new_group_begins_where_the_configuration_says() {
    async fn notes(Event(paid): Event<Paid>, State(gated): State<Gated>) {
        gated.note(Step::Handled(paid.step.to_string()));
    }
    for (start, first) in [(Position::Earliest, "0"), (Position::Latest, "1")] {
        let (gated, mut config) = (Gated::new(), orders());
        config.start = start;
        let bus = || Bus::configured(&config).expect("a service").transport(gated.clone());
        let early = bus().topic("orders", |topic| topic).start().await.expect("starts");
        early.publish(Paid::of(1, 0)).await.expect("published");
        let group = Subscription::configured(&config).expect("a group").on(notes);
        let late = bus().subscribe(group).state(gated.clone()).start().await.expect("starts");
        early.publish(Paid::of(1, 1)).await.expect("published");
        gated.until("the last", |steps| steps.contains(&Step::Handled("1".into()))).await;
        let handled = gated.steps().into_iter().find(|step| matches!(step, Step::Handled(_)));
        assert_eq!(handled, Some(Step::Handled(first.into())));
        for bus in [early, late] {
            bus.shutdown(Duration::from_secs(5)).await.expect("clean");
        }
    }
}

#[test]
fn who_is_not_named_is_asked_for() {
    let nobody = ServiceConfig::default();
    let error = Subscription::configured(&nobody).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = "the configuration names no group (set `consumer_group_id`; or use `Subscription::group`)";
    assert_eq!(error.to_string(), text);
    let error = Bus::configured(&nobody).unwrap_err();
    let text = "the configuration names no service (set `service_name`; or use `Bus::builder`)";
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Config, text));
}

#[cfg(feature = "kafka")]
#[test]
fn who_is_not_named_in_the_environment_is_asked_for_by_the_variable() {
    let config = KafkaConfig::new("127.0.0.1:9092");
    let error = Subscription::configured(config.service()).unwrap_err().to_string();
    let text = "the configuration names no group (set `consumer_group_id`, or KAFKA_CONSUMER_GROUP_ID in the environment; or use \
                `Subscription::group`)";
    assert_eq!(error, text);
    let error = Bus::configured(config.service()).unwrap_err().to_string();
    let text = "the configuration names no service (set `service_name`, or KAFKA_SERVICE_NAME in the environment; or use \
                `Bus::builder`)";
    assert_eq!(error, text);
}
