//! Looking into the broker: what a group has still to deal with.

use super::*;

/// Payloads and offsets, in order.
fn left(transport: &MemoryTransport) -> Vec<(String, Option<i64>)> {
    let faults = transport.faults();
    let left = faults.unsettled("g");
    assert_eq!(left.is_empty(), faults.is_settled(["g"]));
    let text = |message: &Message| String::from_utf8_lossy(message.payload.as_deref().unwrap()).into_owned();
    left.into_iter().map(|(origin, message)| (text(&message), origin.offset)).collect()
}

fn texts(transport: &MemoryTransport) -> Vec<String> {
    left(transport).into_iter().map(|(text, _)| text).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_not_settled_is_named_whether_it_is_out_or_not() {
    for transport in [log(1).await, queue().await] {
        let mut reader = Reader::new(&transport, spec()).await;
        send(&transport, &["k:a", "k:b", "k:c", "k:d"]).await;
        assert_eq!(texts(&transport), ["a", "b", "c", "d"]);
        let got = reader.take(3).await;
        reader.done(&got[1..2]);
        assert_eq!(texts(&transport), ["a", "c", "d"]);
        reader.done(&got);
        assert_eq!(texts(&transport), ["d"]);
        let last = reader.take(1).await;
        reader.done(&last);
        assert!(texts(&transport).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_verdict_counts_before_it_is_durable_and_a_crash_undoes_it() {
    for transport in [log(1).await, queue().await] {
        send(&transport, &["k:a", "k:b"]).await;
        // It commits after a second, or 5,000.
        let mut reader = Reader::new(&transport, SubscribeSpec::group("g", ["t"])).await;
        let got = reader.take(2).await;
        reader.done(&got);
        assert_eq!((texts(&transport).len(), transport.faults().lag("g")), (0, 2));
        transport.faults().crash("g");
        assert_eq!(texts(&transport), ["a", "b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_closed_member_finished_out_of_order_is_not_named_again() {
    let transport = log(1).await;
    send(&transport, &["a", "b", "c", "d"]).await;
    let mut reader = Reader::new(&transport, spec()).await;
    let got = reader.take(4).await;
    reader.done(&got[1..3]);
    reader.close().await;
    let expected = [("a".to_owned(), Some(0)), ("d".to_owned(), Some(3))];
    assert_eq!(left(&transport), expected);
    // Nor when another one has the lane, and has read nothing yet, or half of it.
    let mut next = Reader::new(&transport, spec()).await;
    assert_eq!(left(&transport), expected);
    let first = next.take(1).await;
    assert_eq!(left(&transport), expected);
    next.done(&first);
    assert_eq!(left(&transport), expected[1..]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_begins_at_the_end_has_nothing_to_do_with_what_was_before() {
    let transport = log(1).await;
    send(&transport, &["a"]).await;
    let spec = SubscribeSpec { start: gulo_bus_core::transport::Position::Latest, ..spec() };
    let _reader = Reader::new(&transport, spec).await;
    assert!(left(&transport).is_empty());
    send(&transport, &["b"]).await;
    assert_eq!(left(&transport), [("b".to_owned(), Some(1))]);
}

#[tokio::test(start_paused = true)]
async fn what_retention_took_is_nobodys_work_any_more() {
    let transport = log(1).await;
    let _reader = Reader::new(&transport, spec()).await;
    send(&transport, &["a", "b"]).await;
    transport.faults().forget_before("t", 0, 1);
    assert_eq!(left(&transport), [("b".to_owned(), Some(1))]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_not_there_has_nothing_to_do() {
    let transport = log(1).await;
    send(&transport, &["a"]).await;
    assert!(transport.faults().is_settled(["nobody"]) && transport.faults().unsettled("nobody").is_empty());
}
