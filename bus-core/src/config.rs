//! What the configuration of a service says of its bus, whatever the broker is. Transports that are configured from the
//! environment or a file read it there; [`Bus::configured`](crate::bus::Bus::configured) and
//! [`Subscription::configured`](crate::bus::Subscription::configured) take it.
//!
//! ```
//! # use gulo_bus_core::config::ServiceConfig;
//! # use gulo_bus_core::bus::Bus;
//! let nameless = Bus::configured(&ServiceConfig::default()).unwrap_err();
//! assert!(nameless.to_string().starts_with("the configuration names no service"));
//! ```

use std::sync::Arc;

use crate::transport::Position;

/// Settings of a service.
///
/// ```
/// # use gulo_bus_core::ServiceConfig;
/// # use gulo_bus_core::bus::{Bus, Subscription};
/// # fn example() -> gulo_bus_core::Result<()> {
/// let mut config = ServiceConfig::default();
/// config.name = Some("user-service".into());
/// config.group = Some("email".into());
/// config.max_attempts = 5;
/// let (bus, email) = (Bus::configured(&config)?, Subscription::configured(&config)?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceConfig {
    /// What variables of the environment begin with that say this, for errors to name them: `KAFKA_`, say.
    pub variables: Option<&'static str>,
    /// The service: the source of its events.
    pub name: Option<Arc<str>>,
    /// What stands before the type of an event that names no topic: `<prefix>.<type in snake case>`.
    /// `integration-events` unless said.
    pub default_topic_prefix: Arc<str>,
    /// Its group.
    pub group: Option<Arc<str>>,
    /// Where the group begins when it is new. [`Position::Earliest`] unless said.
    pub start: Position,
    /// How often a message is handled before it is a dead letter, the first time included. 3 unless said.
    pub max_attempts: u32,
    /// Whether what cannot be handled is kept as a dead letter. Where not, it is discarded: logged, counted, gone.
    pub dead_letters: bool,
    /// Dead letters go to `<topic>.<group><suffix>`. `.dlq` unless said.
    pub dead_letter_suffix: Arc<str>,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            variables: None,
            name: None,
            default_topic_prefix: crate::routing::OF_EVENTS.into(),
            group: None,
            start: Position::Earliest,
            max_attempts: 3,
            dead_letters: true,
            dead_letter_suffix: ".dlq".into(),
        }
    }
}

impl ServiceConfig {
    /// How a setting is said: ``set `service_name`, or ABC_SERVICE_NAME in the environment``.
    pub(crate) fn way_to_say(&self, setting: &str) -> String {
        match self.variables {
            Some(prefix) => format!("set `{setting}`, or {prefix}{} in the environment", setting.to_uppercase()),
            None => format!("set `{setting}`"),
        }
    }
}
