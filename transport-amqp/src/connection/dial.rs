//! The way to the broker, TLS included, by ourselves: lapin's own trusts the system's CAs beside the one that was named, and
//! cannot connect where there are none.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use async_rs::traits::{Reactor, RuntimeKit};
use async_rs::{Runtime, Tokio};
use lapin::tcp::RustlsConnector;
use lapin::uri::AMQPUri;
use lapin::{AsyncTcpStream, Result};
use tokio::sync::oneshot;
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
///
/// lapin 4.12.3 never hears of a call that has failed before its `Connection::start` waits for it, and then waits for ever: so
/// nobody is called before it [does](waiting).
pub(super) fn with(
    tls: Option<RustlsConnector>,
    waits: oneshot::Receiver<()>,
) -> impl AsyncFn(AMQPUri, Runtime<Kit>) -> Result<Stream<Kit>> + Send + Sync + 'static {
    let first = Mutex::new(Some(waits));
    async move |uri: AMQPUri, runtime: Runtime<Kit>| {
        silence();
        let Some(waits) = first.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Err(io::Error::other(HungUp).into());
        };
        // Or it waits no more; then nobody hears of this.
        let _ = waits.await;
        Ok(connect(&uri, &runtime, tls.as_ref()).await?)
    }
}

/// Tells when `connecting` waits.
pub(super) async fn waiting<T>(connecting: impl Future<Output = T>, waits: oneshot::Sender<()>) -> T {
    let (mut connecting, mut waits) = (pin!(connecting), Some(waits));
    poll_fn(|cx| {
        let connected = connecting.as_mut().poll(cx);
        if let Some(waits) = waits.take() {
            let _ = waits.send(());
        }
        connected
    })
    .await
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

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use lapin::ErrorKind::IOError;
    use tokio::runtime::Handle;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn nobody_is_called_before_lapin_waits_for_it() {
        let (waits, told) = oneshot::channel();
        let dial = with(None, told);
        let uri: AMQPUri = "amqp://127.0.0.1:1".parse().unwrap();
        let mut calling = pin!(dial(uri, Kit::on(Handle::current())));
        assert!(timeout(Duration::from_millis(50), calling.as_mut()).await.is_err(), "it has called");
        let connecting = waiting(poll_fn(|_| Poll::<()>::Pending), waits);
        let called = tokio::select! {
            called = calling => called.map(drop),
            () = connecting => unreachable!("it waits"),
        };
        let refused = |kind: &lapin::ErrorKind| matches!(kind, IOError(cause) if cause.kind() == io::ErrorKind::ConnectionRefused);
        assert!(refused(called.unwrap_err().kind()));
    }

    #[tokio::test]
    async fn it_is_told_when_lapin_waits_and_not_before() {
        let (waits, mut told) = oneshot::channel();
        let lapin = poll_fn(|_| {
            assert!(told.try_recv().is_err(), "it does not wait yet");
            Poll::<()>::Pending
        });
        assert!(pin!(waiting(lapin, waits)).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(told.try_recv().is_ok());
    }
}
