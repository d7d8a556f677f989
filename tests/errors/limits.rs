//! Numbers at both ends of what they can be.

use std::time::Duration;

use gulo::ErrorKind;
use gulo::bus::Limits;
use gulo::dead_letter::Guard;
use gulo::memory::{MemoryConfig, MemoryTransport, Shape};
use gulo::message::{Message, SendOptions};
use gulo::prelude::*;
use gulo::transport::Outcome::Refused;

use crate::said::{of, on_memory};
use crate::support::{Gated, Paid, eventually};

async fn fails(_: Payload) -> Result<(), HandlerError> {
    Err(HandlerError::new("no"))
}

#[tokio::test]
async fn limits_of_nothing_take_nothing_and_say_so() {
    let raise = "(raise it with `Bus::builder(..).limits(..)`)";
    let set = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
    };
    let cases = [
        (
            set(|limits| limits.payload_bytes = 0),
            "payload of `order.paid` is 20 bytes, the limit is 0 (raise it with `Bus::builder(..).limits(..)`, or send a \
             reference instead of the content)"
                .to_owned(),
        ),
        (set(|limits| limits.key_bytes = 0), format!("key of `order.paid` is 1 bytes, the limit is 0 {raise}")),
        (
            set(|limits| limits.headers = 0),
            format!("number of headers, the bus's own included, of `order.paid` is 7, the limit is 0 {raise}"),
        ),
        (set(|limits| limits.header_bytes = 0), format!("size of all headers of `order.paid` is 165 bytes, the limit is 0 {raise}")),
        (set(|limits| limits.id_bytes = 0), format!("event id of `order.paid` is 36 bytes, the limit is 0 {raise}")),
    ];
    for (limits, text) in cases {
        let bus = on_memory().limits(limits).topic("orders", |t| t).start().await.expect("starts");
        let (outcome, kind, said) = of(bus.publish(Paid::of(1, 1)).await);
        assert_eq!((outcome, kind, said), (Refused, ErrorKind::TooLarge, format!("refused to orders: {text}")));
    }
}

/// What is as large as it can be costs nothing before it is used.
#[tokio::test(start_paused = true)]
async fn the_largest_numbers_are_taken() {
    let gated = Gated::new();
    let mut limits = Limits::default();
    (limits.payload_bytes, limits.key_bytes, limits.headers) = (usize::MAX, usize::MAX, usize::MAX);
    (limits.header_bytes, limits.id_bytes) = (usize::MAX, usize::MAX);
    let guard = Guard::in_a_row(u32::MAX).or_share(u32::MAX, u32::MAX).pause(Duration::MAX);
    let group = Subscription::group("g")
        .concurrency(Concurrency::unordered(usize::MAX))
        .in_flight(usize::MAX)
        .window(usize::MAX)
        .commit(CommitPolicy { every: usize::MAX, interval: Duration::ZERO })
        .stall_after(Duration::ZERO)
        .retry(Retry::exponential(Duration::MAX).jitter().max_attempts(1))
        .dead_letter(DeadLetter::topic().guard(guard))
        .on_raw("orders", fails);
    let bus =
        Bus::builder("shop").transport(gated.clone()).limits(limits).subscribe(group).start().await.expect("starts");
    bus.publish(Outgoing::new(Paid::of(1, 1)).id("x".repeat(5000))).await.expect("confirmed");
    eventually("a letter", || bus.health().subscriptions[0].counts.dead_lettered == 1).await;
    bus.shutdown(Duration::ZERO).await.ok();
}

/// Wishes of a sender that no clock can count.
#[tokio::test(start_paused = true)]
async fn times_of_a_message_at_both_ends_are_taken() {
    let memory = MemoryTransport::with(MemoryConfig::new().shape(Shape::Queue).publish_timeout(Duration::MAX));
    let group = Subscription::group("g").on_raw("orders", async |_: Payload| {});
    let bus = Bus::builder("shop").transport(memory.clone()).subscribe(group).start().await.expect("starts");
    let far = std::time::UNIX_EPOCH + Duration::from_secs(i64::MAX as u64 / 4);
    let mut early = Message::new("orders", "early");
    early.timestamp = std::time::UNIX_EPOCH.checked_sub(Duration::from_secs(1 << 40));
    let mut late = Message::new("orders", "late");
    late.timestamp = Some(far);
    bus.send(vec![early, late]).await.expect("confirmed");
    for options in [
        SendOptions { expires: Some(Duration::MAX), ..SendOptions::default() },
        SendOptions { deliver_at: Some(std::time::UNIX_EPOCH), ..SendOptions::default() },
    ] {
        bus.publish(Outgoing::new(Paid::of(1, 1)).topic("orders").send_options(options)).await.expect("confirmed");
    }
    eventually("all", || bus.health().subscriptions[0].counts.handled == 4).await;
    let later = SendOptions { deliver_at: Some(far), ..SendOptions::default() };
    bus.publish(Outgoing::new(Paid::of(1, 1)).send_options(later)).await.expect("confirmed");
    bus.shutdown(Duration::from_secs(1)).await.expect("clean");
    assert_eq!(memory.faults().messages("orders").len(), 1);
}
