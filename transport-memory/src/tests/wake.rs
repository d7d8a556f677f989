//! A source that waits is woken by whatever it waits for, at once and with no time passing.

use tokio::task::JoinHandle;

use super::*;

/// Lets it wait in `recv`, on a task of its own.
async fn waiting(mut reader: Reader, room: usize) -> JoinHandle<(Reader, Instant)> {
    reader.drain().await;
    reader.inbox = Inbox::default();
    let task = tokio::spawn(async move {
        reader.source.recv(&mut reader.inbox, room).await.unwrap();
        (reader, Instant::now())
    });
    tokio::task::yield_now().await;
    assert!(!task.is_finished());
    task
}

/// What it got, at the moment it is now.
async fn woken(task: JoinHandle<(Reader, Instant)>) -> Reader {
    let now = Instant::now();
    let (reader, at) = timeout(HOUR, task).await.expect("not woken").unwrap();
    assert_eq!(at, now);
    reader
}

#[tokio::test(start_paused = true)]
async fn by_a_publish() {
    for transport in [log(2).await, queue().await] {
        let task = waiting(Reader::new(&transport, spec()).await, 1).await;
        send(&transport, &["a"]).await;
        assert_eq!(payloads(&woken(task).await.inbox.deliveries), ["a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn by_a_key_that_another_member_lets_go() {
    let transport = queue().await;
    send(&transport, &["k:a", "k:b", "k:c", "k:d"]).await;
    let one = SubscribeSpec { window: 1, ..spec() };
    let mut first = Reader::new(&transport, one.clone()).await;
    let got = first.take(1).await;
    let task = waiting(Reader::new(&transport, one).await, 1).await;
    first.done(&got);
    let mut second = woken(task).await;
    assert_eq!(payloads(&second.inbox.deliveries), ["b"]);
    let task = waiting(first, 1).await;
    let b = std::mem::take(&mut second.inbox.deliveries);
    second.verdict(&b[0], Verdict::Requeue).unwrap();
    let first = woken(task).await;
    assert_eq!(payloads(&first.inbox.deliveries), ["b"]);
    let task = waiting(second, 1).await;
    drop(first);
    assert_eq!(payloads(&woken(task).await.inbox.deliveries), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn by_a_message_without_a_key_that_another_member_puts_back() {
    let transport = queue().await;
    send(&transport, &["a"]).await;
    let mut first = Reader::new(&transport, spec()).await;
    let got = first.take(1).await;
    let task = waiting(Reader::new(&transport, spec()).await, 1).await;
    first.verdict(&got[0], Verdict::Requeue).unwrap();
    assert_eq!(woken(task).await.inbox.deliveries[0].redelivered, 1);
}

#[tokio::test(start_paused = true)]
async fn by_a_member_that_joins_and_by_a_lane_that_is_released() {
    let transport = log(2).await;
    let task = waiting(Reader::new(&transport, spec()).await, 0).await;
    let second = Reader::new(&transport, spec()).await;
    let mut first = woken(task).await;
    let Some(LaneEvent::Draining { lanes, .. }) = first.inbox.events.pop() else { panic!("not draining") };
    let task = waiting(second, 0).await;
    first.control(Control::Release(lanes));
    let second = woken(task).await;
    assert!(matches!(second.inbox.events[..], [LaneEvent::Opened { .. }]));
    let task = waiting(second, 0).await;
    first.close().await;
    assert!(matches!(woken(task).await.inbox.events[..], [LaneEvent::Opened { .. }]));
}

#[tokio::test(start_paused = true)]
async fn by_a_broker_that_goes_and_comes_back_and_by_a_lost_lane() {
    for transport in [log(1).await, queue().await] {
        let task = waiting(Reader::new(&transport, spec()).await, 0).await;
        transport.faults().down();
        let reader = woken(task).await;
        assert!(matches!(reader.inbox.events[..], [LaneEvent::Degraded(_)]));
        let task = waiting(reader, 0).await;
        transport.faults().up();
        let reader = woken(task).await;
        assert!(matches!(reader.inbox.events[..], [LaneEvent::Recovered]));
        let task = waiting(reader, 0).await;
        transport.faults().lose("g");
        assert!(matches!(woken(task).await.inbox.events[..], [LaneEvent::Lost(_), LaneEvent::Opened { .. }]));
    }
}

#[tokio::test(start_paused = true)]
async fn and_a_wait_that_is_given_up_takes_nothing_with_it() {
    for transport in [log(1).await, queue().await] {
        let mut reader = Reader::new(&transport, spec()).await;
        reader.opened().await;
        for n in 0..20 {
            let wait = Duration::from_millis(n % 3);
            let sender = transport.clone();
            let sends = tokio::spawn(async move { send(&sender, &[&format!("k:{n}")]).await });
            // What came before the wait was given up lies in the inbox.
            let _ = timeout(wait, reader.source.recv(&mut reader.inbox, 1)).await;
            sends.await.unwrap();
        }
        let all: Vec<String> = (0..20).map(|n: i32| n.to_string()).collect();
        assert_eq!(payloads(&reader.take(20).await), all);
    }
}
