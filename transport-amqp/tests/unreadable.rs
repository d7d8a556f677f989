//! What lapin cannot read, and RabbitMQ takes: `scripts/brokers up amqp`.

#![allow(clippy::unwrap_used)]

// Other tests use the rest of it.
#[allow(dead_code)]
mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::message::Message;
use gulo_bus_core::settle::{Settlement, Verdict};
use gulo_bus_core::transport::{Inbox, SubscribeSpec, Transport};
use gulo_transport_amqp::{AmqpConfig, AmqpTransport};
use lapin::uri::AMQPUri;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use support::Broker;
use support::rooms::{broker, made};

/// AMQP by hand: lapin writes nothing that it could not read.
struct Wire(TcpStream);

fn short(text: &[u8]) -> Vec<u8> {
    [&[text.len() as u8], text].concat()
}

fn long(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes(), text].concat()
}

impl Wire {
    /// Logged in, with channel 1 in confirm mode.
    fn open(broker: &Broker) -> Self {
        let uri: AMQPUri = broker.url().parse().unwrap();
        let mut wire = Self(TcpStream::connect(broker.address()).unwrap());
        wire.0.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        wire.0.write_all(b"AMQP\0\0\x09\x01").unwrap();
        wire.frame();
        let user = uri.authority.userinfo;
        let login = long(format!("\0{}\0{}", user.username, user.password).as_bytes());
        wire.method(0, [10, 11], &[long(b""), short(b"PLAIN"), login, short(b"en_US")].concat());
        // Its wishes are ours, but for heartbeats.
        let tune = wire.frame();
        wire.method(0, [10, 31], &[&tune[4..10], &[0, 0]].concat());
        wire.method(0, [10, 40], &[short(uri.vhost.as_bytes()), short(b""), vec![0]].concat());
        wire.frame();
        wire.method(1, [20, 10], &short(b""));
        wire.frame();
        wire.method(1, [85, 10], &[0]);
        wire.frame();
        wire
    }

    fn method(&mut self, channel: u16, [class, method]: [u16; 2], arguments: &[u8]) {
        let head = [class.to_be_bytes(), method.to_be_bytes()].concat();
        self.send(1, channel, &[&head, arguments].concat());
    }

    fn send(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let head = [&[kind][..], &channel.to_be_bytes(), &(payload.len() as u32).to_be_bytes()].concat();
        self.0.write_all(&[&head, payload, b"\xce"].concat()).unwrap();
    }

    /// The payload of the next one.
    fn frame(&mut self) -> Vec<u8> {
        let mut head = [0; 7];
        self.0.read_exact(&mut head).unwrap();
        let mut payload = vec![0; u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize + 1];
        self.0.read_exact(&mut payload).unwrap();
        payload.pop();
        payload
    }

    /// With a header whose name is no UTF-8; confirmed.
    fn publish(&mut self, exchange: &str) {
        self.method(1, [60, 40], &[vec![0, 0], short(exchange.as_bytes()), short(b""), vec![0]].concat());
        let table = long(&[short(b"\xff\xfe"), b"S".to_vec(), long(b"x")].concat());
        let head = [&60_u16.to_be_bytes()[..], &[0; 2], &1_u64.to_be_bytes(), &(1_u16 << 13).to_be_bytes()].concat();
        self.send(2, 1, &[head, table].concat());
        self.send(3, 1, b"x");
        assert_eq!(self.frame()[..4], [0, 60, 0, 80], "basic.ack");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_read_holds_up_no_other_queue() {
    let Some(broker) = broker().filter(|broker| !broker.is_encrypted()) else { return };
    let transport = AmqpTransport::new(AmqpConfig::new(&broker.url()));
    let [poisoned, sound] =
        ["poisoned", "sound"].map(|name| -> Arc<str> { format!("{name}-{}", Uuid::now_v7().simple()).into() });
    made(&transport, &poisoned).await;
    made(&transport, &sound).await;
    let mut source = transport.subscribe(SubscribeSpec::group("g", [poisoned.clone(), sound.clone()])).await.unwrap();
    Wire::open(&broker).publish(&poisoned);
    let publisher = transport.publisher().await.unwrap();
    let (mut seen, mut again, until) = (BTreeSet::new(), 0, Instant::now() + Duration::from_secs(8));
    for number in 0..40 {
        publisher.publish(vec![Message::new(sound.clone(), number.to_string())]).await.unwrap();
        let next = Instant::now() + Duration::from_millis(100);
        let mut inbox = Inbox::default();
        while timeout_at(next.min(until), source.recv(&mut inbox, 100)).await.is_ok() {
            again += inbox.deliveries.iter().filter(|delivery| delivery.redelivered > 0).count();
            seen.extend(inbox.deliveries.iter().map(|delivery| delivery.message.payload.clone()));
            let done = |token| Settlement { token, verdict: Verdict::Done };
            source.settle(&mut inbox.deliveries.drain(..).map(|delivery| done(delivery.token)).collect()).unwrap();
            inbox.events.clear();
        }
    }
    assert_eq!(seen.len(), 40, "of 40 that can be read, {again} of them again");
    assert!(again <= 3, "{again} came again: only the first loss is theirs");
}
