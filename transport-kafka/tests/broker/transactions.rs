//! Transactions, as the group and the topics show them from outside.

use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::ErrorKind;
use gulo_bus_core::message::Message;
use gulo_bus_core::settle::Settlement;
use gulo_bus_core::transport::{LaneEvent, Position, SubscribeSpec, Transaction, Transport as _};
use gulo_conformance::Mode;
use gulo_transport_kafka::KafkaTransport;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::time::{Instant, sleep, timeout};

use crate::faults::{Way, a_topic, through};
use crate::rig::Broker;
use crate::support::*;

/// Where the group stands in partition 0, and the metadata of that; looked up without this library.
fn stands(place: &Broker, group: &str, topic: &str) -> Option<(i64, String)> {
    let mut config = ClientConfig::new();
    // A commit is told before its position has been written: who reads what is committed waits for that.
    config.set("bootstrap.servers", place.servers()).set("group.id", group).set("isolation.level", "read_committed");
    let eye: BaseConsumer = config.create().unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, 0);
    let answer = eye.committed_offsets(asked, PATIENCE).unwrap();
    let element = answer.find_partition(topic, 0).unwrap();
    match element.offset() {
        Offset::Offset(offset) => Some((offset, element.metadata().to_owned())),
        _ => None,
    }
}

/// Settles what lies in `range` of what came, and publishes its numbers to `results`.
async fn work(
    transaction: &mut dyn Transaction,
    reader: &mut Reader,
    results: &Arc<str>,
    range: std::ops::Range<usize>,
) -> gulo_bus_core::Result<()> {
    let taken = &reader.deliveries[range];
    let made: Vec<Message> = taken.iter().map(|it| Message::new(results.clone(), number(it).to_string())).collect();
    let mut batch = taken.iter().map(|it| Settlement::done(it.token)).collect();
    transaction.publish(made).await.unwrap();
    transaction.settle(&mut *reader.source, &mut batch).await
}

/// All numbers of `results`, in their order, as anybody sees them who waits for transactions to end.
async fn all(transport: &KafkaTransport, results: &Arc<str>) -> Vec<u32> {
    publish(transport, vec![Message::new(results.clone(), "999")]).await;
    let spec = SubscribeSpec { start: Position::Earliest, ..SubscribeSpec::solo([results.clone()]) };
    let mut reader = Reader::new(transport, spec).await;
    reader.until("the last result", |it| it.deliveries.last().is_some_and(|it| number(it) == 999)).await;
    let mut numbers = reader.numbers();
    numbers.pop();
    numbers
}

pub(crate) async fn the_group_stands_where_transactions_say_and_nobody_sets_it_back() {
    let Some(place) = broker().await else { return };
    let (transport, group, id) = (transport(&place), unique("g"), unique("tx"));
    let (topic, results) = (topic(&transport, "in", 1).await, topic(&transport, "out", 1).await);
    publish(&transport, numbered(&topic, 0, 0..10)).await;
    let mut reader = Reader::new(&transport, eager(&group, &[&topic])).await;
    reader.until_count(10).await;

    let mut transaction = transport.transaction(&id).await.unwrap();
    work(&mut *transaction, &mut reader, &results, 0..2).await.unwrap();
    // Committed within 100 ms, by the source itself; what lies below it is not finished before the transaction is.
    reader.settle(4..5);
    reader.quiet_for(Duration::from_millis(600)).await;
    assert_eq!(stands(&place, &group, &topic), Some((0, "gulo1 0 4+1,".to_owned())));
    transaction.commit().await.unwrap();
    let with_it = Some((2, "gulo1 2 2+1,".to_owned()));
    assert_eq!(stands(&place, &group, &topic), with_it);

    // Settled in vain: what it leaves is as it was, also when ordinary commits go on.
    let mut transaction = transport.transaction(&id).await.unwrap();
    work(&mut *transaction, &mut reader, &results, 2..4).await.unwrap();
    transaction.abort().await.unwrap();
    assert_eq!(stands(&place, &group, &topic), with_it);
    reader.settle(2..3);
    reader.quiet_for(Duration::from_millis(600)).await;
    assert_eq!(stands(&place, &group, &topic), Some((3, "gulo1 3 1+1,".to_owned())));
    reader.close().await;
    assert_eq!(all(&transport, &results).await, [0, 1]);
}

pub(crate) async fn a_member_of_the_new_group_protocol_settles_in_transactions() {
    let Some(place) = broker().await else { return };
    let transport = with_property(&place, "group.protocol", "consumer");
    let (group, id) = (unique("g"), unique("tx"));
    let (topic, results) = (topic(&transport, "in", 1).await, topic(&transport, "out", 1).await);
    publish(&transport, numbered(&topic, 0, 0..4)).await;
    let mut reader = Reader::new(&transport, eager(&group, &[&topic])).await;
    reader.until_count(4).await;
    let mut transaction = transport.transaction(&id).await.unwrap();
    work(&mut *transaction, &mut reader, &results, 0..3).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(stands(&place, &group, &topic), Some((3, String::new())));
    reader.close().await;
    assert_eq!(all(&transport, &results).await, [0, 1, 2]);
}

/// The coordinator looks for those that are too old every 10 s.
pub(crate) async fn one_that_took_too_long_says_so_and_the_next_begins_anew() {
    let Some(place) = broker().await else { return };
    let config = config(&place.servers()).producer_property("transaction.timeout.ms", "1000");
    let (transport, id) = (KafkaTransport::new(config.publish_timeout(Duration::from_secs(1))), unique("tx"));
    let results = topic(&transport, "out", 1).await;
    let result = |number: u32| vec![Message::new(results.clone(), number.to_string())];
    let mut slow = transport.transaction(&id).await.unwrap();
    slow.publish(result(1)).await.unwrap();
    sleep(Duration::from_secs(13)).await;
    let error = slow.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    let text = error.to_string();
    assert!(text.contains(&id) && text.contains("transaction.timeout.ms"), "{text}");
    let mut next = transport.transaction(&id).await.unwrap();
    next.publish(result(2)).await.unwrap();
    next.commit().await.unwrap();
    assert_eq!(all(&transport, &results).await, [2]);
}

pub(crate) async fn a_commit_that_is_cut_off_happens_once_or_not_at_all() {
    let Some(way) = Way::open().await else { return };
    let ((direct, topic), id, group) = (a_topic("in").await, unique("tx"), unique("g"));
    let results = crate::support::topic(&direct, "out", 1).await;
    publish(&direct, numbered(&topic, 0, 0..6)).await;
    let transport = through(&way, 2);
    let mut reader = Reader::new(&transport, eager(&group, &[&topic])).await;
    reader.until_count(6).await;
    let mut transaction = transport.transaction(&id).await.unwrap();
    work(&mut *transaction, &mut reader, &results, 0..3).await.unwrap();
    way.set(Mode::Freeze).await;
    let began = Instant::now();
    let error = transaction.commit().await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}: {error}", began.elapsed());
    assert!(matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Unavailable), "{error}");
    way.set(Mode::Open).await;
    // Whether it happened or not: what is not settled comes again, to the next source.
    drop(reader);
    // Whoever begins ends what is open of the id: until then nobody knows where the group stands.
    transport.transaction(&id).await.unwrap().abort().await.unwrap();
    let mut next = Reader::new(&transport, eager(&group, &[&topic])).await;
    next.until("the last", |it| it.numbers().contains(&5)).await;
    assert!([vec![0, 1, 2, 3, 4, 5], vec![3, 4, 5]].contains(&next.numbers()), "{:?}", next.numbers());
    let mut transaction = transport.transaction(&id).await.unwrap();
    let count = next.deliveries.len();
    work(&mut *transaction, &mut next, &results, 0..count).await.unwrap();
    transaction.commit().await.unwrap();
    next.close().await;
    assert_eq!(all(&direct, &results).await, [0, 1, 2, 3, 4, 5]);
}

/// `read_committed` is what consumers are for: they wait for the end of what is open, which may take its time.
pub(crate) async fn what_stands_behind_an_open_one_waits_and_is_no_trouble() {
    let Some(place) = broker().await else { return };
    let (transport, id) = (transport(&place), unique("tx"));
    let topic = topic(&transport, "open", 1).await;
    let mut reader = Reader::new(&transport, eager(&unique("g"), &[&topic])).await;
    reader.until("a lane", |it| it.open().len() == 1).await;
    let mut transaction = transport.transaction(&id).await.unwrap();
    transaction.publish(numbered(&topic, 0, 0..2)).await.unwrap();
    publish(&transport, numbered(&topic, 0, 2..4)).await;
    reader.quiet_for(Duration::from_secs(2)).await;
    assert!(reader.deliveries.is_empty(), "{:?}", reader.numbers());
    transaction.abort().await.unwrap();
    reader.until_count(2).await;
    assert_eq!(reader.numbers(), [2, 3]);
    reader.settle_all();
    assert!(!reader.events.iter().any(|event| matches!(event, LaneEvent::Degraded(_))), "{:?}", reader.events);
    reader.close().await;
}

/// A member whose way to the group is cut, and whose way for transactions is not: the worst of zombies.
pub(crate) async fn a_member_that_was_thrown_out_commits_nothing() {
    let Some(way) = Way::open().await else { return };
    let ((direct, topic), group) = (a_topic("in").await, unique("g"));
    let results = crate::support::topic(&direct, "out", 1).await;
    publish(&direct, numbered(&topic, 0, 0..6)).await;
    let mut zombie = Reader::new(&through(&way, 5), eager(&group, &[&topic])).await;
    zombie.until_count(6).await;
    let mut late = direct.transaction(&unique("late")).await.unwrap();
    work(&mut *late, &mut zombie, &results, 0..3).await.unwrap();
    way.set(Mode::Freeze).await;
    let mut heir = Reader::new(&direct, eager(&group, &[&topic])).await;
    heir.until_count(6).await;
    let mut transaction = direct.transaction(&unique("heir")).await.unwrap();
    work(&mut *transaction, &mut heir, &results, 0..6).await.unwrap();
    transaction.commit().await.unwrap();
    let error = late.commit().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::Other), "{error:?}");
    way.set(Mode::Open).await;
    assert_eq!(all(&direct, &results).await, [0, 1, 2, 3, 4, 5]);
    assert_eq!(stands(&broker().await.unwrap(), &group, &topic), Some((6, String::new())));
    heir.close().await;
    zombie.until("it hears of it", |it| it.events.iter().any(|it| matches!(it, LaneEvent::Lost(_)))).await;
}

pub(crate) async fn a_broker_that_is_not_there_is_named_in_time() {
    let config = config("127.0.0.1:1").connect_timeout(Duration::from_secs(2));
    let began = Instant::now();
    let error = KafkaTransport::new(config).transaction("t").await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(began.elapsed() < Duration::from_secs(5) && error.to_string().contains("127.0.0.1:1"), "{error}");
}

/// Somebody's transaction is open and nobody says for how long, so nobody can say where the group stands either.
pub(crate) async fn a_lane_whose_progress_could_not_be_looked_up_settles_in_no_transaction() {
    let Some(place) = broker().await else { return };
    let (transport, group) = (transport(&place), unique("g"));
    let (topic, results) = (topic(&transport, "in", 1).await, topic(&transport, "out", 1).await);
    publish(&transport, numbered(&topic, 0, 0..6)).await;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", place.servers()).set("group.id", &group);
    let eye: BaseConsumer = config.create().unwrap();
    let mut stood = TopicPartitionList::new();
    let mut element = stood.add_partition(&topic, 0);
    element.set_offset(Offset::Offset(1)).unwrap();
    element.set_metadata("gulo1 1 1+2,");
    config.set("transactional.id", unique("other"));
    let other: BaseProducer = config.create().unwrap();
    other.init_transactions(PATIENCE).unwrap();
    other.begin_transaction().unwrap();
    other.send_offsets_to_transaction(&stood, &eye.group_metadata().unwrap(), PATIENCE).unwrap();

    let mut reader = Reader::new(&transport, eager(&group, &[&topic])).await;
    reader.until("a lane", |it| !it.open().is_empty()).await;
    other.commit_transaction(PATIENCE).unwrap();
    reader.until_count(5).await;
    let mut transaction = transport.transaction(&unique("tx")).await.unwrap();
    let error = work(&mut *transaction, &mut reader, &results, 0..5).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    drop(transaction);
    drop(reader);
    let mut reader = Reader::new(&transport, eager(&group, &[&topic])).await;
    reader.until_count(3).await;
    assert_eq!(reader.numbers(), [1, 4, 5], "what is finished in 2 and 3 is known now");
    let mut transaction = transport.transaction(&unique("tx")).await.unwrap();
    work(&mut *transaction, &mut reader, &results, 0..3).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(all(&transport, &results).await, [1, 4, 5]);
    assert_eq!(stands(&place, &group, &topic), Some((6, String::new())));
    reader.close().await;
}

/// With each verdict a commit is due, and its answer finds the next: neither keeps the other out.
pub(crate) async fn transactions_and_ordinary_commits_that_never_cease_let_each_other_pass() {
    let Some(place) = broker().await else { return };
    let (transport, group, id) = (transport(&place), unique("g"), unique("tx"));
    let topic = topic(&transport, "busy", 2).await;
    publish(&transport, [numbered(&topic, 0, 0..500), numbered(&topic, 1, 500..550)].concat()).await;
    let mut reader = Reader::new(&transport, eager(&group, &[&topic])).await;
    reader.until_count(550).await;
    reader.deliveries.sort_by_key(number);
    for round in 0..50 {
        let mut transaction = transport.transaction(&id).await.unwrap();
        let mut verdicts = vec![Settlement::done(reader.deliveries[500 + round].token)];
        transaction.settle(&mut *reader.source, &mut verdicts).await.unwrap();
        let commit = tokio::spawn(transaction.commit());
        for at in round * 10..round * 10 + 10 {
            reader.settle(at..at + 1);
            tokio::task::yield_now().await;
        }
        timeout(Duration::from_secs(5), commit).await.expect("it has its turn").unwrap().unwrap();
    }
    reader.close().await;
    assert_eq!(stands(&place, &group, &topic), Some((500, String::new())));
    let mut second = Reader::new(&transport, eager(&group, &[&topic])).await;
    second.quiet_for(Duration::from_secs(1)).await;
    assert!(second.deliveries.is_empty(), "{:?}", second.numbers());
    second.close().await;
}

/// What of it was handed over, nobody knows.
pub(crate) async fn a_publish_that_is_dropped_midway_takes_its_transaction_back() {
    let Some(place) = broker().await else { return };
    let transport = KafkaTransport::new(config(&place.servers()).linger(Duration::from_millis(300)));
    let (topic, results) = (topic(&transport, "in", 1).await, topic(&transport, "out", 1).await);
    publish(&transport, numbered(&topic, 0, 0..2)).await;
    let mut transaction = transport.transaction(&unique("tx")).await.unwrap();
    let publishing = transaction.publish(numbered(&results, 0, 0..2));
    assert!(timeout(Duration::from_millis(50), publishing).await.is_err(), "it waits for others to share a batch with");
    let error = transaction.commit().await.unwrap_err();
    assert!(error.to_string().contains("dropped before its end"), "{error}");
    assert!(all(&transport, &results).await.is_empty());
}
