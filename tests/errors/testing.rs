//! What a test is told that uses its bus in a way that cannot be.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use gulo::prelude::*;
use gulo::testing::TestBus;
use gulo::{Error, ErrorKind};

use crate::support::Paid;

async fn bill(Event(_): Event<Paid>) {}

fn app() -> BusBuilder {
    Bus::builder("shop").subscribe(Subscription::group("g").on(bill))
}

fn said(result: Result<TestBus, Error>) -> (ErrorKind, String) {
    let error = result.map(drop).expect_err("an error");
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn a_bus_that_is_there_once_cannot_be_made_again() {
    let text = "a `TestBus` that was given one bus cannot make it again (start it with `TestBus::with(|| app())`)";
    for again in [true, false] {
        let bus = TestBus::start(app()).await.expect("starts");
        let result = if again { bus.restart().await } else { bus.crash().await };
        assert_eq!(said(result), (ErrorKind::Config, text.into()));
    }
}

#[tokio::test]
async fn a_restart_says_why_the_bus_did_not_stop_in_order() {
    let bus = TestBus::with(app).await.expect("starts");
    bus.faults().hold_publishes();
    let publisher = bus.publisher();
    let publishing = tokio::spawn(async move { publisher.publish(Paid::of(1, 1)).await });
    tokio::task::yield_now().await;
    bus.faults().down();
    let text = "the bus did not shut down in order: shutdown was not clean; closing group g: the memory broker is away: \
                verdicts may be lost, what they settled comes again (`Faults::up` brings it back); closing the publisher: the \
                memory publisher closed with publishes not confirmed (each of them says which; give closing more time) \
                (settle it before, or crash it where that is what is tested)";
    assert_eq!(said(bus.restart().await), (ErrorKind::Other, text.into()));
    publishing.await.expect("ends").expect_err("nothing took it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_runtime_of_several_threads_has_no_virtual_time() {
    let text = "a `TestBus` runs in virtual time, and tokio pauses the clock of a runtime with one thread only (start it in \
                a plain `#[tokio::test]`)";
    assert_eq!(said(TestBus::start(app()).await), (ErrorKind::Config, text.into()));
}

#[test]
fn without_a_runtime_there_is_no_virtual_time() {
    let mut starting = std::pin::pin!(TestBus::start(app()));
    let Poll::Ready(result) = starting.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it is refused at once");
    };
    let text = "a `TestBus` runs in virtual time, and there is no tokio runtime (start it in a plain `#[tokio::test]`)";
    assert_eq!(said(result), (ErrorKind::Config, text.into()));
}
