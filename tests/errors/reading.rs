//! What is said by those who read: a bus asked for an event, dead letters looked at and sent back.

use std::sync::Arc;
use std::time::Duration;

use gulo::dead_letters::{DeadLetters, Letter, Republish};
use gulo::memory::{MemoryConfig, MemoryTransport, Shape};
use gulo::message::Message;
use gulo::prelude::*;
use gulo::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

use crate::said::on_memory;
use crate::support::Paid;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize, Deserialize)]
struct Nowhere;

impl IntegrationEvent for Nowhere {
    const TYPE: &'static str = "nowhere";
}

fn at(topic: &str, offset: i64) -> Origin {
    Origin { topic: topic.into(), partition: Some(0), offset: Some(offset) }
}

fn said<T: std::fmt::Debug>(result: Result<T, Error>) -> (ErrorKind, String) {
    let error = result.expect_err("an error");
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn an_event_that_a_bus_cannot_read_is_told_with_the_message_that_it_is_not_in() {
    let bus = on_memory().topic_naming(TopicNaming::new().explicit()).topic("orders", |t| t.partitions(1));
    let bus = bus.start().await.expect("starts");
    let read = |message: Message| said(bus.read::<Paid>(&message, &at("orders", 3)).map(|(event, _)| event));
    let paid = |body: &'static str| Message::new("orders", body).header("ce_type", Paid::TYPE);
    let cases = [
        (
            Message::new("orders", "{}").header("ce_type", "order.billed"),
            "message orders[0]@3: it is of type `order.billed`, not `order.paid` (read it as an event of that type)",
        ),
        (
            paid("hunter2"),
            "message orders[0]@3: payload is not JSON, at line 1 column 1 (let the event read it, or mend what wrote it)",
        ),
        (
            paid("{}").header("ce_dataversion", "2"),
            "message orders[0]@3: version 2 of `order.paid` is not supported, the handler takes 1 (let the event accept it: \
             `ACCEPTS`, and `upcast` where its fields differ)",
        ),
    ];
    for (message, text) in cases {
        assert_eq!(read(message), (ErrorKind::Decode, text.into()));
    }
    let text = "event `nowhere` has no topic (name one: `#[event(topic = \"..\")]`, or `const TOPIC` of its \
                `IntegrationEvent`)";
    assert_eq!(said(bus.topic_of::<Nowhere>()), (ErrorKind::Config, text.into()));
}

#[tokio::test(start_paused = true)]
async fn dead_letters_that_cannot_be_read_are_told_with_their_topic() {
    let log = MemoryTransport::with(MemoryConfig::new().partitions(1));
    let bus = Bus::builder("shop").transport(log.clone()).topic("dead", |t| t).start().await.expect("starts");
    bus.send(vec![Message::new("dead", "x"), Message::tombstone("dead")]).await.expect("confirmed");
    let letters = DeadLetters::new(Arc::new(log.clone())).patience(SECOND);
    let text = "dead letters in `absent`: the memory broker lacks topic `absent` (make it first, or let `ensure` do so: \
                `TopologyMode::Create`)";
    assert_eq!(said(letters.open("absent").await), (ErrorKind::Missing, text.into()));
    let text = "dead letters in `no such`: there can be no topic called `no such` (a name is 1 to 249 of `a-z`, `A-Z`, \
                `0-9`, `.`, `_` and `-`, and not `.` or `..`)";
    assert_eq!(said(letters.open("no such").await), (ErrorKind::Config, text.into()));
    let queue = MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue));
    Bus::builder("shop").transport(queue.clone()).topic("dead", |t| t).start().await.expect("starts");
    let text = "dead letters in `dead`: transport `memory` does not offer `solo` (do without it, or take a transport \
                that has it)";
    let refused = DeadLetters::new(Arc::new(queue)).start(Position::Offset(0)).open("dead").await;
    assert_eq!(said(refused), (ErrorKind::Unsupported, text.into()));
    let mut open = letters.open("dead").await.expect("opens");
    let all = open.read_all(2).await.expect("reads");
    let text =
        "dead letter dead[0]@0: payload is not JSON, at line 1 column 1 (let the event read it, or mend what wrote it)";
    assert_eq!(said(all[0].json::<Paid>()), (ErrorKind::Decode, text.into()));
    let text = "dead letter dead[0]@1: a tombstone has no payload (its key says what is gone)";
    assert_eq!(said(all[1].json::<Paid>()), (ErrorKind::Decode, text.into()));
    let mut open = letters.open("dead").await.expect("opens");
    log.faults().down();
    let text = "dead letters in `dead`: nothing came for 1s: the memory broker is away: a fault switched it off \
                (`Faults::up` brings it back) (read on, or open the topic again)";
    assert_eq!(said(open.next().await), (ErrorKind::Unavailable, text.into()));
}

#[tokio::test(start_paused = true)]
async fn letters_that_are_not_sent_back_are_told_one_by_one() {
    let memory = MemoryTransport::new();
    let bus = Bus::builder("shop").transport(memory.clone()).topic("orders", |t| t).topic("dead", |t| t);
    bus.start().await.expect("starts").shutdown(SECOND).await.expect("clean");
    let letter = |topic: Option<&'static str>, offset: i64| {
        let message = Message::new("dead", "x").header("dead-letter-reason", "permanent");
        let message = match topic {
            Some(topic) => message.header("dead-letter-origin-topic", topic).header("dead-letter-origin-group", "g"),
            None => message,
        };
        Letter::read(message, at("dead", offset))
    };
    let republish = Republish::new(Arc::new(memory.clone()));
    let all = [letter(None, 0), letter(Some("absent"), 1), letter(Some("two words"), 2), letter(Some("dead"), 3)];
    let text = "dry run: 0 would be sent, 4 refused\
        \n  dead[0]@0 refused: it does not say which topic it came from (name one with `to_topic`)\
        \n  dead[0]@1 refused: there is no topic `absent` (make it, or name another with `to_topic`)\
        \n  dead[0]@2 refused: `two words` cannot be sent to: there can be no topic called `two words` (a name is 1 to 249 of \
        `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, and not `.` or `..`)\
        \n  dead[0]@3 refused: its origin is the topic that it stands in (name another with `to_topic`)";
    assert_eq!(republish.dry_run(&all).await.expect("runs").to_string(), text);
    let run = republish.clone().only_to(["users"]).dry_run(&[letter(Some("orders"), 4)]).await.expect("runs");
    let text = "dry run: 0 would be sent, 1 refused\
        \n  dead[0]@4 refused: `orders` is not among the topics of `only_to` (name it there)";
    assert_eq!(run.to_string(), text);
    let run = republish.clone().to_topic("orders").dry_run(&[letter(None, 5)]).await.expect("runs");
    let text = "dry run: 0 would be sent, 1 refused\
        \n  dead[0]@5 refused: it does not say which group failed (say `for_group(..)` or `to_all_groups()`)";
    assert_eq!(run.to_string(), text);
    let text = "a rate of 0 messages a second sends nothing (give `per_second` at least 1)";
    assert_eq!(said(republish.clone().per_second(0).send([]).await), (ErrorKind::Config, text.into()));
    memory.faults().fail_on("orders", 1);
    let two = [letter(Some("orders"), 6), letter(Some("orders"), 7)];
    let report = republish.batch(1).send(two).await.expect("a report");
    let text = "0 sent back, 0 refused, 2 not confirmed\
        \n  dead[0]@6 to orders not sent: a message for topic `orders` was not sent by a fault\
        \n  dead[0]@7 to orders not sent: not tried, for one before it was not confirmed (send it again)";
    assert_eq!(report.to_string(), text);
}
