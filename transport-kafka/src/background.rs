//! Calls of librdkafka that block.

use std::thread;

use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

/// On a thread of its own, and not on one of the runtime's: a runtime that is dropped would wait for it, and so would a program
/// that ends because it was refused.
pub(crate) async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let (done, answer) = oneshot::channel();
    let work = move || drop(done.send(work()));
    let spawned = thread::Builder::new().name("gulo-kafka-asking".into()).spawn(work);
    spawned.map_err(|error| {
        Error::new(ErrorKind::Other, "no thread to ask Kafka")
            .help("the system gives this process no more threads")
            .source(error)
    })?;
    answer.await.map_err(|error| Error::new(ErrorKind::Other, "asking Kafka was broken off").source(error))
}
