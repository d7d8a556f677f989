//! What the services have in common on Kafka: settings from the environment, names of topics, how they end.

use std::time::Duration;

use gulo::prelude::*;

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
    match std::env::var("ENVIRONMENT") {
        Ok(environment) if !environment.is_empty() => TopicNaming::new().environment(environment),
        _ => TopicNaming::new(),
    }
}

/// A service that only consumes: until it is told to stop, by its deadline.
///
/// # Errors
///
/// What is wrong at the start, or was left at the end.
pub async fn consume(bus: BusBuilder) -> Outcome {
    let bus = bus.transport(transport()?).topic_naming(naming()).start().await?;
    println!("ready");
    println!("{}", bus.run_until(stop_signal, Duration::from_secs(20)).await?);
    Ok(())
}
