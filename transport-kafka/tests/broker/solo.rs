use std::time::Duration;

use gulo_bus_core::transport::{Position, SubscribeSpec, Topics};

use crate::support::*;

pub(crate) async fn a_solo_reader_begins_where_it_is_told_every_time() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let topic = topic(&transport, "solo", 2).await;
    publish(&transport, numbered(&topic, 0, 0..5)).await;
    publish(&transport, numbered(&topic, 1, 5..10)).await;
    for _ in 0..2 {
        let mut reader = Reader::new(&transport, SubscribeSpec::solo([topic.clone()])).await;
        reader.until_count(10).await;
        reader.settle_all();
        assert_eq!(sorted(reader.numbers()), (0..10).collect::<Vec<_>>());
        reader.close().await;
    }
    let mut spec = SubscribeSpec::solo([topic.clone()]);
    spec.start = Position::Offset(3);
    let mut reader = Reader::new(&transport, spec).await;
    reader.until_count(4).await;
    assert_eq!(sorted(reader.numbers()), [3, 4, 8, 9]);
}

pub(crate) async fn a_solo_reader_at_the_end_gets_what_is_published_from_then_on() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let topic = topic(&transport, "tail", 1).await;
    publish(&transport, numbered(&topic, 0, 0..5)).await;
    let mut spec = SubscribeSpec::solo([topic.clone()]);
    spec.start = Position::Latest;
    let mut reader = Reader::new(&transport, spec).await;
    publish(&transport, numbered(&topic, 0, 5..8)).await;
    reader.until_count(3).await;
    assert_eq!(reader.numbers(), [5, 6, 7]);
}

pub(crate) async fn a_solo_reader_of_a_pattern_reads_all_of_it() {
    let Some(place) = broker().await else { return };
    let transport = transport(&place);
    let topic = topic(&transport, "solopat", 2).await;
    publish(&transport, numbered(&topic, 0, 0..5)).await;
    publish(&transport, numbered(&topic, 1, 5..10)).await;
    for _ in 0..2 {
        let mut spec = SubscribeSpec::solo::<&str>([]);
        spec.topics = Topics::Pattern(topic.replace('.', "[.]"));
        let mut reader = Reader::new(&transport, spec).await;
        reader.until_count(10).await;
        reader.settle_all();
        reader.quiet_for(Duration::from_millis(200)).await;
        reader.close().await;
    }
}
