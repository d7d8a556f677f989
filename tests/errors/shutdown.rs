//! What is said of a bus that does not stop in order.

use std::time::Duration;

use async_trait::async_trait;
use gulo::message::Message;
use gulo::prelude::*;
use gulo::settle::Settlement;
use gulo::transport::{
    Capabilities, Control, Inbox, Publisher, Source, Status, SubscribeSpec, Topology, Transaction, Transport, Unsent,
};
use gulo::{ErrorKind, Result};
use tokio::time::Instant;

use crate::support::Gated;

const SECOND: Duration = Duration::from_secs(1);

/// What goes wrong with a transport at the end.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    PublisherHangs,
    SourcePanics,
}

struct Broken(Gated, Fault);
struct BrokenPublisher(std::sync::Arc<dyn Publisher>, Fault);
struct BrokenSource(Box<dyn Source>, Fault);

#[async_trait]
impl Transport for Broken {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn status(&self) -> Status {
        self.0.status()
    }

    async fn ensure(&self, topology: &Topology) -> Result<()> {
        self.0.ensure(topology).await
    }

    async fn publisher(&self) -> Result<std::sync::Arc<dyn Publisher>> {
        Ok(std::sync::Arc::new(BrokenPublisher(self.0.publisher().await?, self.1)))
    }

    async fn subscribe(&self, spec: SubscribeSpec) -> Result<Box<dyn Source>> {
        Ok(Box::new(BrokenSource(self.0.subscribe(spec).await?, self.1)))
    }

    async fn transaction(&self, id: &str) -> Result<Box<dyn Transaction>> {
        self.0.transaction(id).await
    }
}

#[async_trait]
impl Publisher for BrokenPublisher {
    async fn publish(&self, batch: Vec<Message>) -> Result<(), Unsent> {
        self.0.publish(batch).await
    }

    async fn close(&self, deadline: Instant) -> Result<()> {
        match self.1 {
            Fault::PublisherHangs => std::future::pending().await,
            Fault::SourcePanics => self.0.close(deadline).await,
        }
    }
}

#[async_trait]
impl Source for BrokenSource {
    async fn recv(&mut self, inbox: &mut Inbox, room: usize) -> Result<()> {
        assert!(self.1 != Fault::SourcePanics, "in a source");
        self.0.recv(inbox, room).await
    }

    fn settle(&mut self, batch: &mut Vec<Settlement>) -> Result<()> {
        self.0.settle(batch)
    }

    fn may_begin(&self) -> bool {
        self.0.may_begin()
    }

    fn control(&mut self, command: Control) -> Result<()> {
        self.0.control(command)
    }

    async fn close(&mut self, deadline: Instant) -> Result<()> {
        self.0.close(deadline).await
    }
}

async fn unclean(fault: Option<Fault>, down: bool) -> Vec<(ErrorKind, String)> {
    let gated = Gated::new();
    let waits = async |_: Payload| tokio::time::sleep(Duration::from_secs(1000)).await;
    let group = Subscription::group("g").on_raw("orders", waits);
    let bus = Bus::builder("shop").subscribe(group);
    let bus = match fault {
        Some(fault) => bus.transport(Broken(gated.clone(), fault)),
        None => bus.transport(gated.clone()),
    };
    let bus = bus.start().await.expect("starts");
    tokio::time::sleep(SECOND).await;
    if down {
        gated.inner.faults().down();
    }
    let error = bus.shutdown(SECOND).await.expect_err("not clean");
    let problems: Vec<_> = error.problems.iter().map(|problem| (problem.kind(), problem.to_string())).collect();
    let each = problems.iter().map(|(_, text)| format!("; {text}")).collect::<String>();
    assert_eq!(error.to_string(), format!("shutdown was not clean{each}"));
    problems
}

#[tokio::test(start_paused = true)]
async fn what_did_not_close_is_told_with_what_to_do() {
    let hangs =
        "closing the publisher did not end by the deadline (was there too little time, or does the broker not answer?)";
    let panics = "the task of group g failed (what it had not settled comes again; the cause is `Error::source`)";
    let away = "closing group g: the memory broker is away: verdicts may be lost, what they settled comes again (`Faults::up` brings \
                it back)";
    let cases = [
        (Some(Fault::PublisherHangs), false, (ErrorKind::TimedOut, hangs)),
        (Some(Fault::SourcePanics), false, (ErrorKind::Other, panics)),
        (None, true, (ErrorKind::TimedOut, away)),
    ];
    for (fault, down, (kind, text)) in cases {
        assert_eq!(unclean(fault, down).await, [(kind, text.to_owned())]);
    }
}

#[tokio::test]
async fn a_handler_that_blocks_its_thread_is_told_as_a_group_that_did_not_stop() {
    let gated = Gated::new();
    let (begun, begins) = std::sync::mpsc::channel();
    let blocks = move |_: Payload| {
        let begun = begun.clone();
        async move {
            begun.send(()).expect("somebody waits");
            std::thread::sleep(SECOND);
        }
    };
    let group = Subscription::group("g").on_raw("orders", blocks);
    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (bus, transport) = (Bus::builder("shop").transport(gated.clone()).subscribe(group), gated.clone());
    let bus = other.spawn(async move { bus.start().await.expect("starts") }).await.expect("runs");
    transport.publish_raw(Message::new("orders", "x")).await;
    tokio::task::spawn_blocking(move || begins.recv()).await.expect("runs").expect("begins");
    let stopped = other.spawn(bus.shutdown(Duration::from_millis(200))).await.expect("runs");
    let text = "shutdown was not clean; group g did not stop by the deadline (was there too little time, or does a handler \
                block its thread?)";
    assert_eq!(stopped.expect_err("not clean").to_string(), text);
    other.shutdown_background();
}
