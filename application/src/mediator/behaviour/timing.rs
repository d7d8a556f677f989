//! How long requests take.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Behaviour, Call, RequestFuture};

/// Measures how long requests take, what stands further in included.
///
/// ```
/// # use std::time::Duration;
/// # use gulo_application::mediator::{Mediator, Timing};
/// let mediator = Mediator::builder()
///     .behaviour(Timing::warn_over(Duration::from_millis(500)))
///     .behaviour(Timing::observe(|call, took, succeeded| {
///         println!("{} {took:?} {succeeded}", call.name); // to a histogram, say
///     }))
///     .build()?;
/// # Ok::<(), gulo_bus_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Timing(Arc<Observer>);

type Observer = dyn Fn(&Call, Duration, bool) + Send + Sync;

impl Timing {
    /// Logs at `warn` each request that takes longer than `limit`.
    pub fn warn_over(limit: Duration) -> Self {
        Self::observe(move |Call { kind, name, meta, .. }, took, _| {
            if took > limit {
                let (request_id, correlation_id) = (&meta.id, &meta.correlation_id);
                tracing::warn!(%kind, request = name, request_id, correlation_id, "slow: {took:.1?}, over {limit:?}");
            }
        })
    }

    /// Tells `observer` of each request how long it took and whether it succeeded. It is called in the request's task
    /// and must not block.
    pub fn observe(observer: impl Fn(&Call, Duration, bool) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observer))
    }
}

impl Behaviour for Timing {
    fn wrap(&self, call: &Call, inner: RequestFuture) -> RequestFuture {
        let (observer, call, begun) = (Arc::clone(&self.0), call.clone(), Instant::now());
        Box::pin(async move {
            let result = inner.await;
            observer(&call, begun.elapsed(), result.is_ok());
            result
        })
    }
}

impl fmt::Debug for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timing").finish_non_exhaustive()
    }
}
