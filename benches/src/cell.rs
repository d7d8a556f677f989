//! One arm of one workload, in a process of its own, so that no arm warms or burdens another.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::measure::Sample;
use crate::{Failure, load, memory};

/// Which arm, over which messages.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) arm: &'static str,
    pub(crate) topic: String,
    pub(crate) count: u64,
    pub(crate) work: Duration,
    /// Messages on their way at a time, where the arm asks.
    window: usize,
    one_thread: bool,
}

impl Cell {
    pub(crate) fn new(arm: &'static str, topic: &str, count: u64) -> Self {
        Self { arm, topic: topic.into(), count, work: Duration::ZERO, window: 0, one_thread: false }
    }

    pub(crate) fn work(mut self, work: Duration) -> Self {
        self.work = work;
        self
    }

    pub(crate) fn window(mut self, window: usize) -> Self {
        self.window = window;
        self
    }

    /// On a runtime of one thread, as tests and small programs have it.
    pub(crate) fn on_one_thread(mut self) -> Self {
        self.one_thread = true;
        self
    }

    /// Runs it in a process of its own.
    pub(crate) async fn run(&self) -> Result<Sample, Failure> {
        let output = Command::new(std::env::current_exe()?)
            .args([
                if self.one_thread { "cell-1" } else { "cell" },
                self.arm,
                &self.topic,
                &self.count.to_string(),
                &self.work.as_millis().to_string(),
                &self.window.to_string(),
            ])
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(Duration::from_secs(120), output).await;
        let output = output.map_err(|_| format!("{} was not done after 120 s", self.arm))??;
        if !output.status.success() {
            return Err(format!("{} ended with {}", self.arm, output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// Does what [`Cell::run`] asks of its process.
pub(crate) async fn run_here(args: &[String]) -> Result<(), Failure> {
    let [arm, topic, count, work, window] = args else { return Err("cell ARM TOPIC COUNT WORK_MS WINDOW".into()) };
    let (count, work, window) = (count.parse()?, Duration::from_millis(work.parse()?), window.parse::<usize>()?);
    load::set_topic(topic);
    let sample = match arm.as_str() {
        "memory-raw" => memory::raw(count).await?,
        "memory-json" => memory::json(count).await?,
        "memory-by-type" => memory::by_type(count).await?,
        "memory-by-hand" => memory::by_hand(count).await?,
        "channel-raw" => memory::channel_raw(count).await?,
        "channel-json" => memory::channel_json(count).await?,
        #[cfg(feature = "amqp")]
        amqp if amqp.starts_with("amqp-") => crate::amqp::cell(amqp, topic, count, window).await?,
        #[cfg(feature = "kafka")]
        kafka => crate::kafka::cell(kafka, topic, count, work).await?,
        #[cfg(not(feature = "kafka"))]
        other => return Err(format!("no arm {other}").into()),
    };
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}
