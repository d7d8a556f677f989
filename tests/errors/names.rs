//! What topics cannot be called.

use gulo::ErrorKind;
use gulo::memory::{MemoryConfig, MemoryTransport};
use gulo::message::Message;
use gulo::prelude::*;
use gulo::transport::Outcome::Refused;
use gulo::transport::{SubscribeSpec, TopologyMode, Transport};

use crate::said::{of, on_memory, refused};
use crate::support::Paid;

/// Names that no broker has, wherever they are said.
#[tokio::test(start_paused = true)]
async fn names_of_topics_that_cannot_be_are_refused_wherever_they_are_said() {
    let rule = "(a name is 1 to 249 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, and not `.` or `..`)";
    let long = format!("{}tail", "x".repeat(996));
    let names = [
        ("", String::new()),
        (".", ".".into()),
        ("..", "..".into()),
        ("two words", "two words".into()),
        ("a/b", "a/b".into()),
        ("grüezi", "grüezi".into()),
        ("a\0b", "ab".into()),
        (&long[..250], format!("{}..{}", "x".repeat(60), "x".repeat(20))),
        (&long, format!("{}..{}tail", "x".repeat(60), "x".repeat(16))),
    ];
    let memory = MemoryTransport::with(MemoryConfig::new().create_on_publish(true));
    let bus = Bus::builder("shop").transport(memory.clone()).start().await.expect("starts");
    for (name, shown) in &names {
        let text = format!("there can be no topic called `{shown}` {rule}");
        let started = [
            on_memory().topic(*name, |t| t),
            on_memory().topology(TopologyMode::Check).topic(*name, |t| t),
            on_memory().subscribe(Subscription::group("g").on_raw(*name, async |_: Payload| {})),
        ];
        for builder in started {
            let error = refused(builder).await;
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::Config, text.clone()));
        }
        let error = memory.subscribe(SubscribeSpec::solo([*name])).await.map(|_| ()).expect_err("no such topic");
        assert_eq!(error.to_string(), text);
        let to: String = name.chars().filter(|c| !c.is_control()).take(256).collect();
        let to = if to.is_empty() { to } else { format!(" to {to}") };
        let expected = (Refused, ErrorKind::Config, format!("refused{to}: {text}"));
        assert_eq!(of(bus.publish(Outgoing::new(Paid::of(1, 1)).topic(*name)).await), expected);
        assert_eq!(of(bus.send(vec![Message::new(*name, "x")]).await), expected);
    }
    for name in ["a", "A-1_b.c", &long[..249]] {
        on_memory().topic(name, |t| t).start().await.expect("starts");
        bus.publish(Outgoing::new(Paid::of(1, 1)).topic(name)).await.expect("confirmed");
    }
}

/// The end of a name shows whose dead letters it was to take.
#[tokio::test]
async fn a_topic_whose_dead_letters_would_have_too_long_a_name_is_told_by_that_name() {
    let name = "t".repeat(240);
    let error =
        refused(on_memory().subscribe(Subscription::group("billing").on_raw(&*name, async |_: Payload| {}))).await;
    let shown = format!("{}..{}.billing.dlq", "t".repeat(60), "t".repeat(8));
    let rule = "(a name is 1 to 249 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, and not `.` or `..`)";
    assert_eq!(error.to_string(), format!("there can be no topic called `{shown}` {rule}"));
}
