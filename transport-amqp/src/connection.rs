//! One connection, made when it is needed and made anew when it is lost. By ourselves: a client that recovers silently hides
//! the moment from which on earlier deliveries mean nothing.

mod ask;
mod dial;
mod kit;
mod reads;

use std::pin::pin;
use std::sync::{Arc, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use async_rs::TokioRuntime;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};
use gulo_bus_core::transport::Status;
use gulo_bus_core::{Error, ErrorKind, Result};
use lapin::{Channel, Connection, ConnectionProperties, Event};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::config::AmqpConfig;
use crate::error;

use kit::Kit;

pub(crate) use ask::Found;
pub(crate) use dial::HungUp;
pub(crate) use reads::{Gently, wake};
#[cfg(test)]
pub(crate) use reads::{Noticed, tests::Wire};

/// Between attempts to connect.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// A connection for one direction. RabbitMQ blocks a connection that publishes when it has no room left, and then the
/// acknowledgements on it do not get through either, which would have made room.
#[derive(Debug)]
pub(crate) struct Link {
    config: Arc<AmqpConfig>,
    purpose: &'static str,
    connection: Mutex<Option<Arc<Connection>>>,
    status: watch::Sender<Status>,
    since: std::sync::Mutex<Option<Instant>>,
}

impl Link {
    pub(crate) fn new(config: Arc<AmqpConfig>, purpose: &'static str) -> Arc<Self> {
        let (connection, status) = (Mutex::default(), watch::Sender::new(Status::Up));
        Arc::new(Self { config, purpose, connection, status, since: std::sync::Mutex::default() })
    }

    pub(crate) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Since when it stands as it does; `None` where it never was needed.
    pub(crate) fn since(&self) -> Option<Instant> {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a channel on it has learnt of the connection.
    pub(crate) fn lost(&self, failure: &lapin::Error) {
        // Of a channel that had ended before, alone or with its connection: the first who heard knows which.
        let of_a_channel = matches!(failure.kind(), lapin::ErrorKind::InvalidChannelState(..));
        if !of_a_channel && !failure.is_amqp_soft_error() {
            self.is_down(&self.told(failure));
        }
    }

    /// News of the status.
    pub(crate) fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// A new channel, on a new connection where there is none that works.
    ///
    /// Cancel safety: safe.
    pub(crate) async fn channel(self: &Arc<Self>) -> Result<(Channel, Arc<Connection>)> {
        let limit = self.config.connect_timeout;
        let opening = async {
            let connection = self.connected().await?;
            let channel = connection.create_channel().await.map_err(|lost| self.told(&lost))?;
            self.answers(&connection);
            Ok((channel, connection))
        };
        timeout(limit, opening).await.unwrap_or_else(|_| {
            let error = self.too_late(limit);
            // One that is blocked answers nothing; it says so itself when it does again.
            if !matches!(self.status(), Status::Blocked { .. }) {
                self.is_down(&error);
            }
            Err(error)
        })
    }

    /// What is asked of the broker takes no longer than this. A queue that has lost its majority does not answer either: what
    /// becomes of the connection heartbeats tell.
    pub(crate) async fn within<T>(&self, what: impl Future<Output = lapin::Result<T>>) -> Result<T> {
        let limit = self.config.connect_timeout;
        match timeout(limit, what).await {
            Ok(done) => done.map_err(|failure| self.told(&failure)),
            Err(_) => Err(self.too_late(limit)),
        }
    }

    pub(crate) fn told(&self, failure: &lapin::Error) -> Error {
        error::told(failure, &self.config)
    }

    async fn connected(self: &Arc<Self>) -> Result<Arc<Connection>> {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = connection.as_ref().filter(|connection| connection.status().connected()) {
            return Ok(connection.clone());
        }
        let opened = self.open().await.inspect_err(|failure| self.is_down(failure))?;
        let opened = Arc::new(opened);
        *connection = Some(opened.clone());
        Ok(opened)
    }

    async fn open(self: &Arc<Self>) -> Result<Connection> {
        let name = format!("{} ({})", self.config.connection_name, self.purpose);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let (background, config) = (background()?.handle(), self.config.clone());
        // Reads files.
        let tls = background.spawn_blocking(move || config.connector()).await;
        let tls = tls.map_err(|failure| Error::new(ErrorKind::Other, format!("TLS: {failure}")))??;
        let uri = self.config.uri()?;
        let runtime = Kit::on(background.clone());
        let (waits, told) = oneshot::channel();
        let connecting = Connection::connector(uri.clone(), runtime, dial::with(tls.clone(), told), properties);
        let opened = match dial::waiting(connecting, waits).await {
            Ok(opened) => opened,
            Err(failure) if ask::is_dark(&failure) => {
                let runtime = TokioRuntime::tokio_with_handle(background.clone());
                let found = background.spawn(ask::why(uri, runtime, tls)).await.ok().flatten();
                return Err(error::unreached(&failure, &self.config, found));
            }
            Err(failure) => return Err(error::unreached(&failure, &self.config, None)),
        };
        self.changes();
        self.status.send_replace(Status::Up);
        background.spawn(stand_by(Arc::downgrade(self), opened.events_listener()));
        Ok(opened)
    }

    /// `false` where it is lost.
    fn hear(&self, event: Event) -> bool {
        match event {
            Event::ConnectionBlocked(reason) => drop(self.status.send_replace(Status::Blocked { reason })),
            Event::ConnectionUnblocked => drop(self.status.send_replace(Status::Up)),
            // Of a channel alone: whoever has it is told.
            Event::Error(failure) if failure.is_amqp_soft_error() => {}
            Event::Error(failure) => {
                self.is_down(&self.told(&failure));
                return false;
            }
            _ => {}
        }
        true
    }

    /// The broker has opened a channel on it. It was only slow, or what was heard was of the connection before.
    fn answers(&self, connection: &Connection) {
        let mends = |status: &mut Status| {
            let heals = matches!(status, Status::Down { .. }) && connection.status().connected();
            if heals {
                *status = match connection.status().blocked() {
                    true => Status::Blocked { reason: "it has said so before".into() },
                    false => Status::Up,
                };
            }
            heals
        };
        if self.status.send_if_modified(mends) {
            self.changes();
        }
    }

    /// The first cause counts: what follows from it says less.
    fn is_down(&self, cause: &Error) {
        self.changes();
        self.status.send_if_modified(|status| {
            if matches!(status, Status::Down { .. }) {
                return false;
            }
            *status = Status::Down { since: SystemTime::now(), reason: cause.to_string() };
            true
        });
    }

    fn changes(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn too_late(&self, limit: Duration) -> Error {
        let text = format!("the broker at {} did not answer within {limit:?}", self.config.address());
        Error::new(ErrorKind::TimedOut, text).help(error::IS_IT_RUNNING)
    }
}

/// Hears what becomes of a connection, and makes it anew when it is lost, whether somebody waits for it or not: the status
/// tells of the broker, not of its users. Ends with the link.
fn stand_by(link: Weak<Link>, events: impl Stream<Item = Event> + Send + 'static) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            match link.upgrade() {
                Some(link) if link.hear(event) => {}
                Some(_) => break,
                None => return,
            }
        }
        let mut rest = FIRST_REST;
        while let Some(link) = link.upgrade() {
            if timeout(link.config.connect_timeout, link.connected()).await.is_ok_and(|opened| opened.is_ok()) {
                return;
            }
            drop(link);
            sleep(rest).await;
            rest = LONGEST_REST.min(rest * 2);
        }
    })
}

/// Where connections live: heartbeats go on though every thread of the application is busy. What is logged there is not heard:
/// [`dial::silence`] says why.
fn background() -> Result<&'static Runtime> {
    static BACKGROUND: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let made = BACKGROUND.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("gulo-amqp")
            .on_thread_start(dial::silence)
            .enable_all()
            .build()
    });
    made.as_ref().map_err(|failure| Error::new(ErrorKind::Other, format!("no thread for connections: {failure}")))
}
