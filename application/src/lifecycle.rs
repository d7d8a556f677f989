//! A bus that can be started, stopped, and started again.

use std::fmt;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use gulo_bus_core::bus::{Bus, BusBuilder, Health, Monitor, Publish, ShutdownError, ShutdownReport};
use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::sync::Mutex;
use tokio::time::{self, Instant};

pub(crate) struct Lifecycle {
    /// In words, for errors: `the consumer`.
    what: &'static str,
    builder: BusBuilder,
    /// Held while it starts or stops: who does so at the same time waits.
    bus: Mutex<Option<Bus>>,
    /// Of the bus, for who does not want to wait for that.
    stage: RwLock<Stage>,
}

/// What can be done with it.
#[derive(Clone)]
pub(crate) enum Stage {
    NotStarted,
    Running(Publish, Monitor),
    Stopped,
}

impl Lifecycle {
    pub(crate) fn new(what: &'static str, builder: BusBuilder) -> Self {
        Self { what, builder, bus: Mutex::default(), stage: RwLock::new(Stage::NotStarted) }
    }

    /// Changes what is started next.
    pub(crate) fn describe(&mut self, change: impl FnOnce(BusBuilder) -> BusBuilder) {
        self.builder = change(self.builder.clone());
    }

    /// Starts what was described, and `more`.
    pub(crate) async fn start(&self, more: impl FnOnce(BusBuilder) -> BusBuilder) -> Result<()> {
        let mut bus = self.bus.lock().await;
        if bus.is_some() {
            let problem = format!("{} is running already", self.what);
            return Err(Error::new(ErrorKind::Config, problem).help("stop it before it is started again"));
        }
        let started = more(self.builder.clone()).start().await?;
        self.set(Stage::Running(started.publisher(), started.monitor()));
        *bus = Some(started);
        Ok(())
    }

    /// By the end of `timeout`, whoever starts or stops it at the same time. Of one that does not run there is nothing to
    /// report.
    pub(crate) async fn stop(&self, timeout: Duration) -> Result<ShutdownReport, ShutdownError> {
        let begun = Instant::now();
        let mut bus = time::timeout(timeout, self.bus.lock()).await.map_err(|_| self.busy())?;
        let Some(running) = bus.take() else { return Ok(ShutdownReport::default()) };
        self.set(Stage::Stopped);
        running.shutdown(timeout.saturating_sub(begun.elapsed())).await
    }

    fn busy(&self) -> ShutdownError {
        let problem = format!("{} is still being started or stopped elsewhere", self.what);
        ShutdownError::new(Error::new(ErrorKind::TimedOut, problem).help("stop it again when that has ended"))
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `None` while it does not run, or is starting or stopping.
    pub(crate) fn health(&self) -> Option<Health> {
        match self.stage() {
            Stage::Running(_, monitor) => Some(monitor.health()),
            Stage::NotStarted | Stage::Stopped => None,
        }
    }

    fn set(&self, stage: Stage) {
        *self.stage.write().unwrap_or_else(PoisonError::into_inner) = stage;
    }
}

impl fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.stage() {
            Stage::NotStarted => "not started",
            Stage::Running(..) => "running",
            Stage::Stopped => "stopped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_by_its_deadline_though_a_start_does_not() {
        let lifecycle = Lifecycle::new("the consumer", Bus::builder("service"));
        let _starting = lifecycle.bus.lock().await;
        let stop = time::timeout(Duration::from_secs(6), lifecycle.stop(Duration::from_secs(5)));
        let error = stop.await.expect("ends").expect_err("busy").to_string();
        assert!(error.contains("the consumer is still being started or stopped elsewhere"), "{error}");
    }
}
