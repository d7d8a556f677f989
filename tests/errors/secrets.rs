//! What is in events, headers and states is nobody's business but theirs: it stands in no error and in no line of the log,
//! whatever goes wrong.

use std::sync::Arc;
use std::time::Duration;

use gulo::dead_letter as dlq;
use gulo::dead_letters::DeadLetters;
use gulo::message::Message;
use gulo::prelude::*;
use serde::{Deserialize, Serialize};

use crate::support::logs::Logs;
use crate::support::{Gated, eventually};

/// In payloads, values of headers and states.
const SECRET: &str = "open-sesame";
const GROUP: &str = "secret-keeper";
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Serialize, Deserialize)]
struct Card {
    number: u32,
    #[serde(serialize_with = "unless_refused")]
    pin: String,
}

fn unless_refused<S: serde::Serializer>(pin: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if pin.ends_with("refused") { Err(serde::ser::Error::custom("no such pin")) } else { serializer.serialize_str(pin) }
}

impl IntegrationEvent for Card {
    const TYPE: &'static str = "card.made";
    const TOPIC: Option<&'static str> = Some("cards");
}

/// As somebody would have it that thinks of nothing: it shows all that is in it.
#[derive(Clone, Debug)]
struct Vault(String);

async fn take(Event(card): Event<Card>, State(vault): State<Vault>) -> Result<(), HandlerError> {
    match card.number {
        1 => return Err(HandlerError::new("no")),
        2 => return Err(HandlerError::new("never").permanent()),
        3 => panic!("in a handler"),
        4 => tokio::time::sleep(3600 * SECOND).await,
        _ => drop(vault.0),
    }
    Ok(())
}

fn of(body: String) -> Message {
    Message::new("cards", body).header("ce_type", Card::TYPE).header("authorization", SECRET)
}

/// One of each way in which a message becomes a dead letter.
fn bad() -> Vec<Message> {
    let card = |number: u32| of(format!(r#"{{"number":{number},"pin":"{SECRET}"}}"#));
    let structured = |body: String| Message::new("cards", body).header("content-type", "application/cloudevents+json");
    let mut all: Vec<_> = (1..=4).map(card).collect();
    all.extend([
        of(SECRET.into()),
        of(format!(r#"{{"number":"{SECRET}"}}"#)),
        of(format!(r#"{{"number":1,"pin":["{SECRET}"]}}"#)),
        of(format!(r#"{{"number":1,"pin":"{SECRET}"#)),
        of(format!(r#""{SECRET}""#)).header("ce_dataversion", "9"),
        of("{}".into()).header("ce_dataversion", SECRET),
        structured(SECRET.into()),
        structured(format!(r#"{{"data":"{SECRET}"}}"#)),
        structured(format!(r#"{{"type":"card.made","data_base64":"{SECRET}?"}}"#)),
        structured(format!(r#"{{"type":"card.made","dataversion":"{SECRET}"}}"#)),
    ]);
    all
}

async fn bus(gated: &Gated) -> Bus {
    let vault = Vault(SECRET.into());
    let group = Subscription::group(GROUP).deadline(SECOND).retry(Retry::fixed(SECOND).max_attempts(2)).on(take);
    let builder = Bus::builder("shop").transport(gated.clone()).state(vault).subscribe(group);
    let builder =
        builder.topic("cards", |t| t.partitions(1)).topic("pythons", |t| t.envelope(Envelope::BuildingBlocks));
    assert!(!format!("{builder:?}").contains(SECRET), "{builder:?}");
    let bus = builder.start().await.expect("starts");
    assert!(!format!("{bus:?} {:?}", bus.health()).contains(SECRET));
    bus
}

/// All that publishing says of what it does not send.
async fn refusals(bus: &Bus) -> Vec<String> {
    let card = |pin: &str| Card { number: 9, pin: format!("{SECRET}{pin}") };
    let headed = |name: &'static str| Outgoing::new(card("")).header(name, SECRET);
    let results = [
        bus.publish(card("refused")).await,
        bus.publish(card(&"x".repeat(2 << 20))).await,
        bus.publish(headed("")).await,
        bus.publish(headed("ce_id")).await,
        bus.publish(Outgoing::new(card("")).header("big", SECRET.repeat(9000))).await,
        bus.publish(Outgoing::new(card("")).topic("absent")).await,
        bus.publish(Outgoing::new(card("")).topic("pythons").id("7")).await,
        bus.publish(Outgoing::new(card("")).partition(99)).await,
        bus.send(vec![Message::new("absent", SECRET).header("authorization", SECRET)]).await,
    ];
    let unsent = results.into_iter().map(|result| result.expect_err("not confirmed"));
    unsent.map(|unsent| format!("{unsent} {unsent:?} {:?}", unsent.failed)).collect()
}

#[tokio::test(start_paused = true)]
async fn no_payload_header_or_state_is_in_an_error_or_in_the_log() {
    let (logs, gated, bad) = (Logs::listen(), Gated::new(), bad());
    let bus = bus(&gated).await;
    let mut said = refusals(&bus).await;
    // The letters are refused at first, so that what is said of parked messages is seen too.
    gated.inner.faults().refuse_on(format!("cards.{GROUP}.dlq"), 3);
    for message in &bad {
        gated.publish_raw(message.clone()).await;
    }
    eventually("a letter is parked", || bus.health().subscriptions[0].degraded.is_some()).await;
    said.push(format!("{:?} {}", bus.health(), bus.health().to_json()));
    let dead = || bus.health().subscriptions[0].counts.dead_lettered;
    eventually("all are dead letters", || dead() == bad.len() as u64).await;
    let topic = format!("cards.{GROUP}.dlq");
    for letter in gated.read(&topic, bad.len()).await {
        let ours = letter.headers.iter().filter(|(name, _)| name.starts_with(dlq::PREFIX));
        said.extend(ours.map(|(name, value)| format!("{name} {}", String::from_utf8_lossy(value.unwrap_or_default()))));
    }
    let mut letters = DeadLetters::new(Arc::new(gated.inner.clone())).open(&*topic).await.expect("opens");
    let letters = letters.read_all(usize::MAX).await.expect("reads");
    assert_eq!(letters.len(), bad.len());
    said.extend(
        letters.iter().filter_map(|letter| letter.json::<Card>().err()).map(|error| format!("{error} {error:?}")),
    );
    said.push(format!("{letters:?}"));
    gated.inner.faults().down();
    said.push(format!("{:?}", bus.shutdown(SECOND).await));
    let lines = logs.with(&[]);
    // It was said much, and of each way of failing.
    let of_group = logs.with(&[GROUP]);
    for words in ["handler failed", "is parked", "dead-lettered: payload", "handler panicked", "did not end within"] {
        assert!(of_group.iter().any(|line| line.contains(words)), "no line says `{words}`: {of_group:#?}");
    }
    let secret: Vec<_> = said.iter().chain(&lines).filter(|text| text.contains(SECRET)).collect();
    assert!(secret.is_empty(), "{secret:#?}");
}
