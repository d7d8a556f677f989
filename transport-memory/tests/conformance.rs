//! The conformance suite, on both shapes.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gulo_bus_core::transport::Transport;
use gulo_conformance::{Break, Cut, Harness, Link};
use gulo_transport_memory::{Faults, MemoryConfig, MemoryTransport, Shape};

/// One broker for all cases, as a real one would be.
struct Memory {
    name: &'static str,
    config: MemoryConfig,
    broker: MemoryTransport,
}

impl Memory {
    fn harness(name: &'static str, config: MemoryConfig) -> Arc<dyn Harness> {
        let config = config.max_message_bytes(1024 * 1024);
        Arc::new(Self { name, broker: MemoryTransport::with(config.clone()), config })
    }
}

#[async_trait]
impl Harness for Memory {
    fn name(&self) -> &str {
        self.name
    }

    fn require_name(&self) -> &str {
        "memory"
    }

    fn broker(&self) -> Option<String> {
        Some(concat!("gulo-transport-memory ", env!("CARGO_PKG_VERSION")).to_owned())
    }

    fn unavailable(&self) -> Option<String> {
        None
    }

    async fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.broker.clone())
    }

    /// A fault is one of the broker, so it gets one of its own.
    async fn cut(&self) -> Option<Cut> {
        let broker = MemoryTransport::with(self.config.clone().publish_timeout(Duration::from_millis(300)));
        let faults = broker.faults();
        Some(Cut::new(Arc::new(broker), Switch(faults)))
    }

    fn no_cut(&self) -> Option<String> {
        None
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(5)
    }
}

struct Switch(Faults);

#[async_trait]
impl Link for Switch {
    async fn cut(&self, _how: Break) {
        self.0.down();
    }

    async fn heal(&self) {
        self.0.up();
    }
}

fn main() -> ExitCode {
    let log = MemoryConfig::new().shape(Shape::Log);
    let queue = MemoryConfig::new().shape(Shape::Queue);
    let rejecting = queue.clone().dead_letter("conformance-dead");
    gulo_conformance::run(vec![
        Memory::harness("memory (log)", log),
        Memory::harness("memory (queue)", queue),
        Memory::harness("memory (queue, dead letters)", rejecting),
    ])
}
