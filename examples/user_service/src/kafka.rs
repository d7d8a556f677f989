//! What the services have in common on Kafka: settings from the environment, names of topics, how they end.

use std::time::Duration;

use gulo::prelude::*;

use crate::events::topics;
use crate::{Outcome, stop_signal};

/// As the environment says (`KAFKA_BOOTSTRAP_SERVERS`, ..).
///
/// # Errors
///
/// What is wrong with the environment.
pub fn transport() -> gulo::Result<KafkaTransport> {
    let config = KafkaConfig::from_env()?.session_timeout(Duration::from_secs(6));
    // Whoever has sent a command waits no longer; what is not confirmed then is kept.
    Ok(KafkaTransport::new(config.publish_timeout(Duration::from_secs(5))))
}

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
    let bus = topics(bus).transport(transport()?).topic_naming(naming()).start().await?;
    println!("ready");
    println!("{}", bus.run_until(stop_signal, Duration::from_secs(20)).await?);
    Ok(())
}
