//! One RabbitMQ of our own, by the script that starts, kills and pauses it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Trouble;

/// Free ones are looked for from here on: for clients, for other nodes, for the name server.
const PORTS: std::ops::Range<u16> = 5720..5799;
const EACH: u16 = 3;
/// What the script starts a node with, in milliseconds.
const ACK_TIMEOUT: u32 = 60_000;

#[derive(Debug, Clone)]
pub(super) struct Server {
    script: PathBuf,
    kind: String,
    folder: PathBuf,
    port: u16,
    version: String,
}

impl Server {
    /// Starts it with its data in `folder`, and waits until it serves.
    pub(super) async fn start(folder: &Path) -> Result<Self, Trouble> {
        let get = |name: &str| std::env::var(name).map_err(|_| format!("no {name}: run scripts/prove amqp"));
        let (script, kind) = (get("GULO_NODE_AMQP")?.into(), get("GULO_NODE_AMQP_KIND")?);
        let folder = folder.join("broker");
        std::fs::create_dir_all(&folder)?;
        let mut server = Self { script, kind, folder, port: free_ports()?, version: String::new() };
        let said = server.again().await?;
        server.version = said.lines().find_map(|line| line.strip_prefix("version=")).unwrap_or("unknown").to_owned();
        Ok(server)
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn url(&self) -> String {
        url(&self.address())
    }

    // --- the whole of it

    /// With its data, after it was stopped or killed.
    pub(super) async fn again(&self) -> Result<String, Trouble> {
        let ports = [self.port, self.port + 1, self.port + 2].map(|port| port.to_string());
        self.run("start", &[&ports[0], &ports[1], &ports[2], &self.kind]).await
    }

    pub(super) async fn stop(&self) -> Result<(), Trouble> {
        self.run("stop", &[]).await.map(drop)
    }

    pub(super) async fn kill(&self) -> Result<(), Trouble> {
        self.run("kill", &[]).await.map(drop)
    }

    pub(super) async fn pause(&self) -> Result<(), Trouble> {
        self.run("pause", &[]).await.map(drop)
    }

    pub(super) async fn resume(&self) -> Result<(), Trouble> {
        self.run("resume", &[]).await.map(drop)
    }

    // --- what happens within

    /// Every connection.
    pub(super) async fn cut(&self) -> Result<(), Trouble> {
        self.run("cut", &[]).await.map(drop)
    }

    pub(super) async fn alarm(&self, on: bool) -> Result<(), Trouble> {
        self.run("alarm", &[if on { "on" } else { "off" }]).await.map(drop)
    }

    pub(super) async fn ack_timeout(&self, milliseconds: u32) -> Result<(), Trouble> {
        self.run("ack-timeout", &[&milliseconds.to_string()]).await.map(drop)
    }

    pub(super) async fn usual_ack_timeout(&self) -> Result<(), Trouble> {
        self.ack_timeout(ACK_TIMEOUT).await
    }

    pub(super) async fn delete_queue(&self, queue: &str) -> Result<(), Trouble> {
        self.run("delete-queue", &[queue]).await.map(drop)
    }

    pub(super) async fn delete_exchange(&self, exchange: &str) -> Result<(), Trouble> {
        let name = format!("rabbit_misc:r(<<\"/\">>, exchange, <<\"{exchange}\">>)");
        let deleting = format!("rabbit_exchange:delete({name}, false, <<\"prove\">>).");
        self.run("ctl", &["-q", "eval", &deleting]).await.map(drop)
    }

    /// Messages in each queue, those that are out too.
    pub(super) async fn queues(&self) -> Result<BTreeMap<String, usize>, Trouble> {
        let said = self.run("queues", &[]).await?;
        let queue = |line: &str| {
            let (name, count) = line.rsplit_once('\t')?;
            Some((name.to_owned(), count.trim().parse().ok()?))
        };
        Ok(said.lines().filter_map(queue).collect())
    }

    async fn run(&self, verb: &str, words: &[&str]) -> Result<String, Trouble> {
        let mut command = self.command(verb, words);
        let done = tokio::task::spawn_blocking(move || command.output()).await??;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        Err(format!("{verb}: {}", String::from_utf8_lossy(&done.stderr).trim()).into())
    }

    fn command(&self, verb: &str, words: &[&str]) -> Command {
        let mut command = Command::new(&self.script);
        command.arg(verb).arg(&self.folder).args(words);
        command
    }

    /// For good.
    pub(super) fn end(&self) {
        // Whoever started us sees to what is left.
        for verb in ["kill", "stop"] {
            let _ = self.command(verb, &[]).output();
        }
    }
}

/// The broker at `address`: itself, or a way to it.
pub(super) fn url(address: &str) -> String {
    format!("amqp://guest:guest@{address}/%2f")
}

fn free_ports() -> Result<u16, Trouble> {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut firsts = PORTS.step_by(EACH.into());
    firsts
        .find(|first| (*first..*first + EACH).all(free))
        .ok_or_else(|| format!("no free ports from {} on", PORTS.start).into())
}
