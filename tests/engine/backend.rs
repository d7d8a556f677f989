//! The brokers that the suite runs on.

use std::sync::Arc;

use gulo::memory::{MemoryConfig, MemoryTransport, Shape};
use gulo::transport::Transport;

/// Gives a client of its own at each call, as another process would have.
pub type Clients = Box<dyn Fn() -> Arc<dyn Transport> + Send>;

pub struct Backend {
    /// As its cases are listed.
    pub name: &'static str,
    /// As `GULO_REQUIRE` has it.
    pub required_as: &'static str,
    /// Name, version and address, where they are known.
    pub title: String,
    /// Why no case can run on it.
    pub unavailable: Option<String>,
    /// Whether the clock is the test's own.
    pub paused: bool,
    /// Clients for one case.
    pub clients: Box<dyn Fn() -> Clients>,
}

pub fn all() -> [Backend; 4] {
    [kafka(), amqp(), memory("memory (log)", Shape::Log), memory("memory (queue)", Shape::Queue)]
}

/// Each case has a broker to itself.
fn memory(name: &'static str, shape: Shape) -> Backend {
    let clients = move || -> Clients {
        let broker = MemoryTransport::with(MemoryConfig::new().shape(shape));
        Box::new(move || Arc::new(broker.clone()))
    };
    Backend {
        name,
        required_as: "memory",
        title: concat!("gulo-transport-memory ", env!("CARGO_PKG_VERSION")).to_owned(),
        unavailable: None,
        paused: true,
        clients: Box::new(clients),
    }
}

#[cfg(feature = "kafka")]
fn kafka() -> Backend {
    use std::time::Duration;

    use gulo::kafka::{KafkaConfig, KafkaTransport};

    let said_of_the_broker = |name| said_of_the_broker("kafka", "KAFKA_BOOTSTRAP_SERVERS", name);
    let servers = said_of_the_broker("KAFKA_BOOTSTRAP_SERVERS");
    let unavailable = match &servers {
        None => Some("no KAFKA_BOOTSTRAP_SERVERS, and `scripts/brokers up kafka` has not been run".to_owned()),
        Some(servers) if !servers.split(',').any(|server| answers(server.trim())) => {
            Some(format!("no Kafka answers at {servers}"))
        }
        Some(_) => None,
    };
    let servers = servers.unwrap_or_default();
    let version = said_of_the_broker("GULO_KAFKA_VERSION").unwrap_or_else(|| "Apache Kafka".to_owned());
    let title = format!("{version} at {servers}");
    let clients = move || -> Clients {
        let config = KafkaConfig::new(servers.clone()).session_timeout(Duration::from_secs(6));
        // A topic that was just made is seen soon.
        let config = config.property("topic.metadata.refresh.interval.ms", "1000");
        Box::new(move || Arc::new(KafkaTransport::new(config.clone())))
    };
    Backend { name: "kafka", required_as: "kafka", title, unavailable, paused: false, clients: Box::new(clients) }
}

#[cfg(not(feature = "kafka"))]
fn kafka() -> Backend {
    Backend {
        name: "kafka",
        required_as: "kafka",
        title: "Apache Kafka".to_owned(),
        unavailable: Some("built without the feature `kafka`".to_owned()),
        paused: false,
        clients: Box::new(|| unreachable!("no case runs without a broker")),
    }
}

#[cfg(feature = "amqp")]
fn amqp() -> Backend {
    use gulo::amqp::{AmqpConfig, AmqpTransport};

    let said_of_the_broker = |name| said_of_the_broker("amqp", "AMQP_URL", name);
    let url = said_of_the_broker("AMQP_URL");
    let address = |url: &str| url.rsplit('@').next().and_then(|rest| rest.split('/').next()).unwrap_or("").to_owned();
    let unavailable = match &url {
        None => Some("no AMQP_URL, and `scripts/brokers up amqp` has not been run".to_owned()),
        Some(url) if !answers(&address(url)) => Some(format!("no RabbitMQ answers at {}", address(url))),
        Some(_) => None,
    };
    let url = url.unwrap_or_default();
    let version = said_of_the_broker("GULO_AMQP_VERSION").unwrap_or_else(|| "RabbitMQ".to_owned());
    let title = format!("{version} at {}", address(&url));
    let clients = move || -> Clients {
        let config = AmqpConfig::new(&url);
        Box::new(move || Arc::new(AmqpTransport::new(config.clone())))
    };
    Backend { name: "amqp", required_as: "amqp", title, unavailable, paused: false, clients: Box::new(clients) }
}

#[cfg(not(feature = "amqp"))]
fn amqp() -> Backend {
    Backend {
        name: "amqp",
        required_as: "amqp",
        title: "RabbitMQ".to_owned(),
        unavailable: Some("built without the feature `amqp`".to_owned()),
        paused: false,
        clients: Box::new(|| unreachable!("no case runs without a broker")),
    }
}

#[cfg(any(feature = "kafka", feature = "amqp"))]
fn answers(server: &str) -> bool {
    use std::net::{TcpStream, ToSocketAddrs};

    let Ok(mut addresses) = server.to_socket_addrs() else { return false };
    addresses.any(|address| TcpStream::connect_timeout(&address, std::time::Duration::from_secs(2)).is_ok())
}

/// From the environment where `address` there names a broker, else from what `scripts/brokers` left.
#[cfg(any(feature = "kafka", feature = "amqp"))]
fn said_of_the_broker(broker: &str, address: &str, name: &str) -> Option<String> {
    let of_environment = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    // Somebody's own broker shares nothing with ours.
    if of_environment(address).is_some() {
        return of_environment(name);
    }
    let path = format!("{}/target/brokers/{broker}/env", env!("CARGO_MANIFEST_DIR"));
    let left = std::fs::read_to_string(path).ok()?;
    let value = left.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim_matches('"').to_owned())
}
