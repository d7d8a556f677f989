//! What one client has of the tokens.

use std::sync::Arc;

use gulo_bus_core::Result;
use rdkafka::ClientContext;
use rdkafka::client::Client;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Tokens;
use crate::config::KafkaConfig;
use crate::context::Health;
use crate::error::plain;
use crate::native;

/// One client's part: what it was given.
#[derive(Debug)]
pub(crate) struct Login {
    tokens: Option<Tokens>,
    given: u64,
    health: Arc<Health>,
    runtime: Handle,
    told: bool,
}

impl Login {
    /// Waits for the first token, where clients log in with tokens.
    pub(crate) async fn ready(config: &KafkaConfig, health: &Arc<Health>, deadline: Instant) -> Result<Self> {
        if let Some(tokens) = &config.tokens {
            tokens.0.secrets.get_or_init(|| config.secrets());
            tokens.ready(deadline).await?;
            health.token(None);
        }
        let (health, runtime) = (health.clone(), Handle::current());
        Ok(Self { tokens: config.tokens.clone(), given: 0, health, runtime, told: false })
    }

    /// Gives the client the newest token. Called by the thread that serves it, right after it was made and then again and
    /// again. Says once why there is none any more.
    pub(crate) fn renew<C: ClientContext>(&mut self, client: &Client<C>) -> Option<String> {
        let tokens = self.tokens.as_ref()?;
        tokens.run_on(&self.runtime);
        if let Some(token) = tokens.newer_than(&mut self.given)
            && let Err(code) = native::give_token(client, &token)
        {
            tracing::warn!("the token to log in to Kafka was not taken: {}", plain(code));
        }
        let trouble = tokens.trouble();
        let told = std::mem::replace(&mut self.told, trouble.is_some());
        if told || trouble.is_some() {
            self.health.token(trouble.as_deref());
        }
        trouble.filter(|_| !told)
    }
}
