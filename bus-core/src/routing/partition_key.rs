//! What the key of a message is.

use std::fmt;
use std::sync::Arc;

use crate::event::EventMeta;

/// What the key of an event is on the broker: events of one key keep their order. Who publishes may say another one for
/// a single event: [`Outgoing::key`](crate::event::Outgoing::key).
///
/// ```
/// # use gulo_bus_core::bus::Bus;
/// # use gulo_bus_core::routing::PartitionKey;
/// // What one tenant does keeps its order, whatever it is about.
/// let by_tenant = PartitionKey::by(|meta, own| {
///     let tenant = meta.correlation_id.as_deref().and_then(|id| id.split(':').next());
///     tenant.map(str::to_owned).or(own)
/// });
/// let bus = Bus::builder("user-service").partition_key(by_tenant);
/// ```
#[derive(Clone, Default)]
pub struct PartitionKey(Option<Arc<By>>);

type By = dyn Fn(&EventMeta, Option<String>) -> Option<String> + Send + Sync;

impl PartitionKey {
    /// The event's own key, else the id of its aggregate, else none. The default.
    pub fn event() -> Self {
        Self(None)
    }

    /// The id of its aggregate, else none.
    pub fn aggregate() -> Self {
        Self::by(|meta, _| Some(meta.aggregate.as_ref()?.id.clone()))
    }

    /// The conversation that it belongs to: all that one request set off keeps its order.
    pub fn conversation() -> Self {
        Self::by(|meta, _| Some(meta.conversation().to_owned()))
    }

    /// None: nothing has an order, and partitions fill evenly.
    pub fn none() -> Self {
        Self::by(|_, _| None)
    }

    /// By a function of what is known of the event, and of its own key.
    pub fn by(key: impl Fn(&EventMeta, Option<String>) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(key)))
    }

    pub(crate) fn of(&self, meta: &EventMeta, own: Option<String>) -> Option<String> {
        match &self.0 {
            Some(by) => by(meta, own),
            None => own.or_else(|| Some(meta.aggregate.as_ref()?.id.clone())),
        }
    }
}

impl fmt::Debug for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "PartitionKey(by a function)" } else { "PartitionKey(of the event)" })
    }
}
