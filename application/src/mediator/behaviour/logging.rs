//! One line for each request.

use tokio::time::Instant;

use super::{Behaviour, Call, RequestFuture};

/// Logs each request once, when it has ended: at `info` that it was handled, at `warn` why it was not; which one, of
/// which conversation, and how long it took. Never what is in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logging;

impl Behaviour for Logging {
    fn wrap(&self, call: &Call, inner: RequestFuture) -> RequestFuture {
        let (Call { kind, name, meta, .. }, begun) = (call.clone(), Instant::now());
        Box::pin(async move {
            let result = inner.await;
            let (request_id, correlation_id) = (&meta.id, &meta.correlation_id);
            let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            match &result {
                Ok(()) => tracing::info!(%kind, request = name, request_id, correlation_id, took_ms, "handled"),
                Err(error) => {
                    tracing::warn!(%kind, request = name, request_id, correlation_id, took_ms, "not handled: {error}");
                }
            }
            result
        })
    }
}
