//! A process that consumes, transforms and publishes in transactions, until it is told to stop or is killed.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gulo::message::Message;
use gulo::prelude::*;
use gulo::settle::Settlement;
use gulo::transport::{Control, Inbox, LaneEvent, Source, SubscribeSpec, Transport};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::{PIECE, Places};
use crate::Trouble;

/// A killed member keeps its lanes so long, unless it comes back under its name.
const SESSION: Duration = Duration::from_secs(3);
/// A dead transaction of which nobody takes the id over holds its readers back so long.
const TRANSACTION: &str = "8000";
/// Between two tries after a failure.
const BACK_OFF: Duration = Duration::from_millis(100);

/// What a worker is called: its transactions, and as a member of the group where it has a name there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    pub(super) id: &'static str,
    pub(super) is_static: bool,
}

/// A child of this process. Whatever becomes of us, it ends: it reads from us.
pub(super) struct Worker(Child);

impl Worker {
    pub(super) fn start(places: &Places, name: Name) -> Result<Self, Trouble> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(places.folder.join(format!("{}.log", name.id)))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["transform", &*places.input, &*places.output, &*places.group, &places.id(name)]);
        command.arg(if name.is_static { "static" } else { "dynamic" });
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        Ok(Self(command.spawn()?))
    }

    /// `kill -9`.
    pub(super) fn kill(mut self) -> Result<(), Trouble> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// `kill -STOP`, or `-CONT`.
    pub(super) fn signal(&self, signal: &str) -> Result<(), Trouble> {
        let status = Command::new("kill").args([signal, &self.0.id().to_string()]).status()?;
        if status.success() { Ok(()) } else { Err(format!("kill {signal}: {status}").into()) }
    }

    /// Asks it to stop, and waits.
    pub(super) fn stop(mut self) -> Result<(), Trouble> {
        drop(self.0.stdin.take());
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Nothing happens to one that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process itself.
#[tokio::main]
pub(crate) async fn run(input: &str, output: &str, group: &str, id: &str, member: &str) -> Result<(), Trouble> {
    tracing_subscriber::fmt().with_env_filter("info").with_ansi(false).init();
    let mut config = KafkaConfig::from_env()?.session_timeout(SESSION);
    config = config.property("transaction.timeout.ms", TRANSACTION).linger(Duration::from_millis(1));
    if member == "static" {
        config = config.group_instance_id(id);
    }
    let transport = KafkaTransport::new(config);
    let mut stopping = parent_gone();
    let output: Arc<str> = output.into();
    loop {
        tokio::select! {
            biased;
            _ = &mut stopping => return Ok(()),
            failed = transform(&transport, input, &output, group, id) => {
                eprintln!("begins anew: {:?}", failed.err());
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Goes on until something fails; then all that is not committed is to be read again.
async fn transform(
    transport: &KafkaTransport,
    input: &str,
    output: &Arc<str>,
    group: &str,
    id: &str,
) -> gulo::Result<()> {
    let mut source = transport.subscribe(SubscribeSpec::group(group, [input])).await?;
    let (mut inbox, mut stray) = (Inbox::default(), Vec::new());
    let failed = loop {
        if let Err(error) = source.recv(&mut inbox, PIECE).await {
            break error;
        }
        for event in inbox.events.drain(..) {
            match event {
                // Everything that was received is committed by now: there is nothing to wait for.
                LaneEvent::Draining { lanes, .. } => {
                    stray.extend(lanes.iter().copied());
                    source.control(Control::Release(lanes))?;
                }
                LaneEvent::Closed(lane) | LaneEvent::Lost(lane) => stray.push(lane),
                _ => {}
            }
        }
        inbox.deliveries.retain(|delivery| !stray.contains(&delivery.token.lane));
        if let Err(error) = one(transport, &mut *source, &mut inbox, output, id).await {
            break error;
        }
    };
    // It may be somebody else's business already; what is not committed comes again.
    let _ = timeout(SESSION, source.close(Instant::now() + Duration::from_secs(1))).await;
    Err(failed)
}

/// One transaction: what was received, transformed, and settled with it.
async fn one(
    transport: &KafkaTransport,
    source: &mut dyn Source,
    inbox: &mut Inbox,
    output: &Arc<str>,
    id: &str,
) -> gulo::Result<()> {
    if inbox.deliveries.is_empty() {
        return Ok(());
    }
    let mut transaction = transport.transaction(id).await?;
    let mut settlements: Vec<_> = inbox.deliveries.iter().map(|delivery| Settlement::done(delivery.token)).collect();
    let results = inbox.deliveries.drain(..).map(|delivery| transformed(delivery.message, output)).collect();
    transaction
        .publish(results)
        .await
        .map_err(|unsent| gulo::Error::new(gulo::ErrorKind::Other, unsent.to_string()))?;
    transaction.settle(source, &mut settlements).await?;
    transaction.commit().await
}

fn transformed(message: Message, output: &Arc<str>) -> Message {
    Message { topic: Arc::clone(output), timestamp: None, ..message }
}

/// Resolves when standard input ends.
fn parent_gone() -> oneshot::Receiver<()> {
    let (gone, waits) = oneshot::channel();
    std::thread::spawn(move || {
        // Nothing ever comes.
        let _ = std::io::stdin().read(&mut [0]);
        let _ = gone.send(());
    });
    waits
}
