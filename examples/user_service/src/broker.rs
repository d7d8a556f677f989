//! What the services have in common on a broker: which it is, names of topics, how they end.

use std::sync::Arc;
use std::time::Duration;

use gulo::prelude::*;
use gulo::transport::Transport;

use crate::events::topics;
use crate::{Outcome, stop_signal};

/// Whoever has sent a command waits no longer; what is not confirmed then is kept.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// The lines that say which broker it is: nothing else in this application knows. Settings come from the environment
/// (`KAFKA_BOOTSTRAP_SERVERS`, `AMQP_URL`, ..).
///
/// # Errors
///
/// What is wrong with the environment.
pub fn transport() -> gulo::Result<Arc<dyn Transport>> {
    let broker = std::env::var("BROKER").unwrap_or_else(|_| USUALLY.into());
    match &*broker {
        #[cfg(feature = "kafka")]
        "kafka" => {
            let config = KafkaConfig::from_env()?.session_timeout(Duration::from_secs(6));
            Ok(Arc::new(KafkaTransport::new(config.publish_timeout(PUBLISH_TIMEOUT))))
        }
        #[cfg(feature = "amqp")]
        "amqp" => {
            let config = AmqpConfig::new("amqp://guest:guest@localhost:5672/%2f").with_env()?;
            Ok(Arc::new(AmqpTransport::new(config.publish_timeout(PUBLISH_TIMEOUT))))
        }
        _ => {
            Err(gulo::Error::new(gulo::ErrorKind::Config, format!("BROKER is `{broker}`, which this is not built for"))
                .help("it is `kafka` or `amqp`; build it with `--features` of that name"))
        }
    }
}

/// Where `BROKER` is not set.
const USUALLY: &str = if cfg!(feature = "kafka") { "kafka" } else { "amqp" };

/// Topics have `ENVIRONMENT` before their names, where that is set: several environments may share a broker.
pub fn naming() -> TopicNaming {
    TopicNaming::new().environment(environment().unwrap_or_default())
}

/// What the group of a service is called: `staging.email`. Two environments that were members of one group would wait for
/// each other's rebalances.
pub fn group(service: &str) -> String {
    environment().map_or_else(|| service.to_owned(), |environment| format!("{environment}.{service}"))
}

fn environment() -> Option<String> {
    std::env::var("ENVIRONMENT").ok().filter(|environment| !environment.is_empty())
}

/// A service that only consumes: until it is told to stop, by its deadline.
///
/// # Errors
///
/// What is wrong at the start, or was left at the end.
pub async fn consume(bus: BusBuilder) -> Outcome {
    let bus = topics(bus).shared_transport(transport()?).topic_naming(naming()).start().await?;
    println!("ready");
    println!("{}", bus.run_until(stop_signal, Duration::from_secs(20)).await?);
    Ok(())
}
