//! Several handlers, topics by pattern, events that lie elsewhere or say nothing of themselves.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use super::*;

#[tokio::test]
async fn of_several_handlers_each_is_told_and_the_one_that_failed_is_tried_again_alone() {
    async fn easy(Event(_): Event<Placed>) {}
    async fn second(Event(_): Event<Placed>, Attempt(attempt): Attempt) -> Result<(), HandlerError> {
        if attempt < 2 { Err(HandlerError::new("not at the first")) } else { Ok(()) }
    }
    async fn third(Event(_): Event<Placed>, Attempt(attempt): Attempt) -> Result<(), HandlerError> {
        if attempt < 3 { Err(HandlerError::new("not at the second")) } else { Ok(()) }
    }
    let group = Subscription::group(BILLING).on(easy).on(second).on(third);
    let bus = start(Bus::builder("shop").subscribe(group)).await;
    bus.publish(Placed { order: 1 }).await.unwrap();
    bus.settle().await.unwrap();
    let handled = bus.handled::<Placed>(BILLING);
    let by: Vec<_> = handled.iter().map(|it| (it.handler.rsplit("::").next().unwrap(), it.attempt)).collect();
    assert_eq!(by, [("easy", 1), ("second", 2), ("third", 3)]);
    let retried = bus.retried(BILLING);
    let why: Vec<_> = retried.iter().map(|it| (it.attempt, it.error.as_str())).collect();
    assert_eq!(why, [(2, "not at the first"), (2, "not at the second"), (3, "not at the second")]);
    assert_eq!(bus.health().subscriptions[0].counts.handled, 1);
}

#[tokio::test]
async fn topics_by_pattern_are_waited_for_and_their_dead_letters_told() {
    async fn refuses(Event(_): Event<Placed>) -> Result<(), HandlerError> {
        Err(HandlerError::new("no").permanent())
    }
    let group = Subscription::group(BILLING).on_from(TopicSelector::pattern("shop-.*"), refuses);
    let archive = Subscription::group("archive").on(note_bill);
    let app = Bus::builder("shop").topic("shop-north", |t| t).topic("shop-south", |t| t);
    let bus = start(app.subscribe(group).subscribe(archive)).await;
    bus.publish(Outgoing::new(Placed { order: 1 }).topic("shop-north")).await.unwrap();
    bus.settle().await.unwrap();
    bus.publish(Outgoing::new(Placed { order: 2 }).topic("shop-south")).await.unwrap();
    bus.settle().await.unwrap();
    let mut topics: Vec<_> = bus.dead_lettered(BILLING).iter().map(|it| it.letter.topic.to_string()).collect();
    topics.sort();
    assert_eq!(topics, ["shop-north.billing.dlq", "shop-south.billing.dlq"]);
    // Dead letters are no publications; and both groups are still known.
    assert_eq!(bus.published::<Placed>(), [1, 2].map(|order| Placed { order }));
    assert!(bus.dead_lettered("archive").is_empty());
    bus.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_says_no_type_is_taken_for_what_belongs_into_its_topic() {
    let bus = start(app(&Ledger::default())).await;
    bus.send(vec![Message::new("orders", r#"{"order":1}"#)]).await.unwrap();
    bus.settle().await.unwrap();
    assert_eq!(bus.published::<Placed>(), [Placed { order: 1 }]);
    // As JSON it would do for both.
    assert_eq!(bus.published::<Billed>().len(), 1);
    assert_eq!(bus.handled::<Placed>(BILLING), [Placed { order: 1 }]);
    assert!(bus.log().to_string().contains("published a message without a type to orders"), "{}", bus.log());
}

#[tokio::test]
async fn a_codec_of_the_topic_is_the_one_that_answers_are_read_by() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Photo(Vec<u8>);
    impl IntegrationEvent for Photo {
        const TYPE: &'static str = "photo.taken";
        const TOPIC: Option<&'static str> = Some("photos");
    }
    async fn refuses(Event(_): Event<Photo>, State(seen): State<Arc<AtomicU32>>) -> Result<(), HandlerError> {
        if seen.fetch_add(1, SeqCst) == 0 { Ok(()) } else { Err(HandlerError::new("too dark").permanent()) }
    }
    let app = Bus::builder("photos").topic("photos", |t| t.codec(Raw)).state(Arc::<AtomicU32>::default());
    let bus = start(app.subscribe(Subscription::group("album").on(refuses))).await;
    bus.publish_all([Photo(vec![0, 159]), Photo(vec![255])]).await.unwrap();
    bus.settle().await.unwrap();
    assert_eq!(bus.published::<Photo>().len(), 2);
    assert_eq!(bus.handled::<Photo>("album").len(), 1);
    assert!(bus.dead_lettered("album")[0].event::<Photo>().is_ok());
}

#[tokio::test]
async fn an_envelope_in_the_body_or_none_is_read_as_the_topic_has_it() {
    let envelopes = [(Envelope::CloudEventsStructured, "order.placed"), (Envelope::Raw, "a message without a type")];
    for (envelope, kind) in envelopes {
        let bus = start(app(&Ledger::default()).topic("orders", |t| t.envelope(envelope))).await;
        bus.publish_all([1, 4].map(|order| Placed { order })).await.unwrap();
        bus.settle().await.unwrap();
        assert_eq!(bus.published::<Placed>(), [1, 4].map(|order| Placed { order }), "{envelope:?}");
        assert_eq!(bus.published::<Billed>(), [Billed { order: 1 }], "{envelope:?}");
        assert_eq!(bus.handled::<Placed>(BILLING), [Placed { order: 1 }], "{envelope:?}");
        let letters = bus.dead_lettered(BILLING);
        assert_eq!((letters[0].event_type.as_str(), letters[0].event::<Placed>().unwrap().order), (kind, 4));
        assert!(bus.log().to_string().contains(&format!("published {kind} to orders")), "{}", bus.log());
    }
}
