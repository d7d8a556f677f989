//! The conformance suite, on a real broker: `scripts/brokers up amqp`.

mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gulo_bus_core::transport::Transport;
use gulo_conformance::{Cut, Harness, Proxy, Way};
use gulo_transport_amqp::{AmqpConfig, AmqpTransport, ExchangeType, QueueType};

use support::Broker;

/// The broker, as one way of using it sees it.
struct Amqp {
    name: &'static str,
    broker: Broker,
    settings: fn(AmqpConfig) -> AmqpConfig,
}

impl Amqp {
    fn config(&self, url: &str) -> AmqpConfig {
        (self.settings)(AmqpConfig::new(url).heartbeat(Duration::from_secs(2)))
    }
}

#[async_trait]
impl Harness for Amqp {
    fn name(&self) -> &str {
        self.name
    }

    fn require_name(&self) -> &str {
        "amqp"
    }

    fn broker(&self) -> Option<String> {
        Some(self.broker.title())
    }

    fn unavailable(&self) -> Option<String> {
        self.broker.unavailable()
    }

    async fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(AmqpTransport::new(self.config(&self.broker.url())))
    }

    async fn cut(&self) -> Option<Cut> {
        let proxy = Proxy::start("127.0.0.1:0", self.broker.address()).ok()?;
        let config = self.config(&self.broker.url_by_way_of(proxy.address())).publish_timeout(Duration::from_secs(2));
        Some(Cut::new(Arc::new(AmqpTransport::new(config)), Way(proxy)))
    }

    fn no_cut(&self) -> Option<String> {
        self.broker.is_encrypted().then(|| "the broker is reached by TLS, which names its host".to_owned())
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

fn main() -> ExitCode {
    let harness = |name, settings| -> Arc<dyn Harness> { Arc::new(Amqp { name, broker: Broker::find(), settings }) };
    gulo_conformance::run(vec![
        harness("amqp", |config| config),
        harness("amqp (classic, competing, topic exchange)", |config| {
            config
                .queue_type(QueueType::Classic)
                .single_active_consumer(false)
                .exchange_type(ExchangeType::Topic)
                .max_message_bytes(1 << 20)
                .dead_letter_exchange("amq.fanout")
        }),
    ])
}
