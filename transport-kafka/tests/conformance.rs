//! The conformance suite, on a real broker: `scripts/brokers up kafka`.

#![allow(unreachable_pub)]

mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gulo_bus_core::transport::Transport;
use gulo_conformance::{Cut, Harness, Proxy, Way};
use gulo_transport_kafka::{KafkaConfig, KafkaTransport};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use support::Broker;

struct Kafka {
    broker: Broker,
    /// Started with the first case that cuts; there is one address to listen on.
    proxy: Mutex<Option<Arc<Proxy>>>,
}

impl Kafka {
    /// What is quick where it can be: topics are seen soon, and members that died are missed soon.
    fn config(servers: &str) -> KafkaConfig {
        KafkaConfig::new(servers)
            .session_timeout(Duration::from_secs(6))
            .property("topic.metadata.refresh.interval.ms", "1000")
    }

    /// Waits where another run on this machine has the address.
    async fn proxy(&self, listens: String, upstream: String) -> Option<Arc<Proxy>> {
        let mut proxy = self.proxy.lock().await;
        let deadline = Instant::now() + Duration::from_secs(180);
        while proxy.is_none() && Instant::now() < deadline {
            *proxy = Proxy::start(&listens, upstream.clone()).ok();
            if proxy.is_none() {
                sleep(Duration::from_millis(100)).await;
            }
        }
        proxy.clone()
    }
}

#[async_trait]
impl Harness for Kafka {
    fn name(&self) -> &str {
        "kafka"
    }

    fn require_name(&self) -> &str {
        "kafka"
    }

    fn broker(&self) -> Option<String> {
        Some(self.broker.title())
    }

    fn unavailable(&self) -> Option<String> {
        self.broker.unavailable()
    }

    async fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(KafkaTransport::new(Self::config(&self.broker.servers())))
    }

    async fn cut(&self) -> Option<Cut> {
        let (upstream, advertised) = self.broker.faulty()?;
        let proxy = self.proxy(advertised.clone(), upstream).await?;
        let config = Self::config(&advertised).publish_timeout(Duration::from_secs(2));
        Some(Cut::new(Arc::new(KafkaTransport::new(config)), Way(proxy)))
    }

    fn no_cut(&self) -> Option<String> {
        let none = self.broker.faulty().is_none();
        none.then(|| "the broker has no listener for faults; the one of scripts/brokers has".to_owned())
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

fn main() -> ExitCode {
    let kafka = Kafka { broker: Broker::find(), proxy: Mutex::default() };
    gulo_conformance::run(vec![Arc::new(kafka)])
}
