//! The way to the broker, TLS included, by ourselves: lapin's own trusts the system's CAs beside the one that was named, and
//! cannot connect where there are none.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use async_rs::traits::{Reactor, RuntimeKit};
use async_rs::{Runtime, Tokio};
use lapin::tcp::RustlsConnector;
use lapin::uri::AMQPUri;
use lapin::{AsyncTcpStream, Result};
use tracing::dispatcher::{DefaultGuard, Dispatch, set_default};

use super::kit::Kit;

pub(super) type Stream<RK = Tokio> = AsyncTcpStream<<RK as Reactor>::TcpStream>;

/// The broker took the connection and ended it without a word of AMQP.
#[derive(Debug)]
pub(crate) struct HungUp;

impl fmt::Display for HungUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was ended without a word")
    }
}

impl std::error::Error for HungUp {}

/// What lapin calls for a stream: from its own thread, and again where the first one ended before the broker had said anything,
/// as often as it takes. Whoever hangs up once will do so again, so it is told at once.
pub(super) fn with(
    tls: Option<RustlsConnector>,
) -> impl AsyncFn(AMQPUri, Runtime<Kit>) -> Result<Stream<Kit>> + Send + Sync + 'static {
    let dialled = AtomicBool::new(false);
    async move |uri: AMQPUri, runtime: Runtime<Kit>| {
        silence();
        if dialled.swap(true, Ordering::Relaxed) {
            return Err(io::Error::other(HungUp).into());
        }
        Ok(connect(&uri, &runtime, tls.as_ref()).await?)
    }
}

pub(super) async fn connect<RK: RuntimeKit + Sync>(
    uri: &AMQPUri,
    runtime: &Runtime<RK>,
    tls: Option<&RustlsConnector>,
) -> io::Result<Stream<RK>> {
    let authority = &uri.authority;
    let addresses = runtime.to_socket_addrs((authority.host.clone(), authority.port));
    let stream = AsyncTcpStream::connect(runtime, addresses).await?;
    match tls {
        Some(tls) => stream.into_rustls(tls, &authority.host).await,
        None => Ok(stream),
    }
}

/// Nothing is logged by this thread any more. lapin writes frames to the log: at the level of traces the password that one
/// logs in with, and as a warning every message that comes back, with its payload. What it has to say is told by its errors.
pub(super) fn silence() {
    thread_local!(static SILENCE: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) });
    SILENCE.with_borrow_mut(|silence| {
        silence.get_or_insert_with(|| set_default(&Dispatch::none()));
    });
}
