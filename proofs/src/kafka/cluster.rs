//! Brokers of our own, which may be killed, stopped and started again: one node, or three.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use tokio::time::sleep;

use crate::Trouble;
use crate::eye::Eye;

/// A node that was killed registers again when its old session has ended: 1.5 s here, 9 s by default.
const FOR_ALL: &str = "\
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
group.consumer.session.timeout.ms=3000
group.consumer.heartbeat.interval.ms=500
log.cleaner.backoff.ms=500
";

/// A node that stands still for a moment is fenced by the controller, which it is itself: the metadata names no broker then.
pub(super) const FRAGILE: &str = "\
broker.session.timeout.ms=300
broker.heartbeat.interval.ms=250
";

const FOR_THREE: &str = "\
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controller.quorum.election.timeout.ms=1000
controller.quorum.fetch.timeout.ms=1000
replica.lag.time.max.ms=5000
";

const PATIENCE: Duration = Duration::from_secs(60);

/// What `scripts/prove` says of how a node is started.
#[derive(Debug, Clone)]
struct Recipe {
    class_path: String,
    jvm: Vec<String>,
    /// A data folder to copy.
    formatted: PathBuf,
    /// With `server.properties` and `log4j2.yaml` of the broker that tests share.
    folder: PathBuf,
}

impl Recipe {
    fn from_env() -> Result<Self, Trouble> {
        let get = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set: run scripts/prove"));
        Ok(Self {
            class_path: get("GULO_NODE_CLASS_PATH")?,
            jvm: get("GULO_NODE_JVM")?.split_whitespace().map(str::to_owned).collect(),
            formatted: get("GULO_NODE_FORMATTED")?.into(),
            folder: get("GULO_NODE_RECIPE")?.into(),
        })
    }
}

/// The ports of a node, one after the other: for clients, for the other nodes, and the way through a proxy.
#[derive(Debug, Clone, Copy)]
struct Ports(u16);

impl Ports {
    const EACH: u16 = 5;

    fn direct(self) -> String {
        local(self.0)
    }

    fn controller(self) -> String {
        local(self.0 + 1)
    }

    fn internal(self) -> String {
        local(self.0 + 2)
    }

    fn faulty(self) -> (String, String) {
        (local(self.0 + 3), local(self.0 + 4))
    }
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

#[derive(Debug)]
pub(super) struct Cluster {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    recipe: Recipe,
    folder: PathBuf,
    ports: Ports,
    /// Settings that no other cluster has.
    settings: &'static str,
    child: Option<Child>,
}

impl Cluster {
    /// Starts `count` nodes with their data in `folder`, and waits until all of them serve.
    pub(super) async fn start(folder: &Path, count: usize, settings: &'static str) -> Result<Self, Trouble> {
        let recipe = Recipe::from_env()?;
        let ports = free_ports(count)?;
        let mut nodes = Vec::new();
        for (index, at) in ports.iter().enumerate() {
            let node = Node {
                recipe: recipe.clone(),
                folder: folder.join(format!("broker-{count}-{}", index + 1)),
                ports: *at,
                settings,
                child: None,
            };
            node.prepare(index + 1, &ports)?;
            nodes.push(node);
        }
        let mut cluster = Self { nodes };
        for at in 0..count {
            cluster.launch(at)?;
        }
        cluster.all_serve().await?;
        Ok(cluster)
    }

    /// The addresses of all of them.
    pub(super) fn servers(&self) -> String {
        self.nodes.iter().map(|node| node.ports.direct()).collect::<Vec<_>>().join(",")
    }

    /// The listener behind the proxy, and where clients of it are sent to.
    pub(super) fn faulty(&self) -> (String, String) {
        self.nodes[0].ports.faulty()
    }

    fn launch(&mut self, at: usize) -> Result<(), Trouble> {
        self.nodes[at].launch()
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, at: usize) -> Result<(), Trouble> {
        let Some(mut child) = self.nodes[at].child.take() else { return Ok(()) };
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// In peace: its partitions are led by others before it goes.
    pub(super) async fn stop(&mut self, at: usize) -> Result<(), Trouble> {
        self.signal(at, "TERM")?;
        let Some(mut child) = self.nodes[at].child.take() else { return Ok(()) };
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                child.kill()?;
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Starts one again and waits until it serves.
    pub(super) async fn restart(&mut self, at: usize) -> Result<(), Trouble> {
        self.launch(at)?;
        self.nodes[at].serves().await
    }

    /// `STOP` and `CONT`, say.
    pub(super) fn signal(&self, at: usize, name: &str) -> Result<(), Trouble> {
        match &self.nodes[at].child {
            Some(child) => crate::member::signal(child.id(), name),
            None => Err("that broker does not run".into()),
        }
    }

    /// Until every node is known to the cluster.
    pub(super) async fn all_serve(&mut self) -> Result<(), Trouble> {
        for node in &mut self.nodes {
            node.serves().await?;
        }
        let (eye, count, deadline) = (Eye::new(self.servers()), self.nodes.len(), Instant::now() + PATIENCE);
        while Instant::now() < deadline {
            let client = eye.client("prove-eye")?;
            let found = client.fetch_metadata(None, Duration::from_secs(5));
            if found.is_ok_and(|found| found.brokers().len() == count) {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
        Err("the cluster did not become whole".into())
    }
}

impl Node {
    fn prepare(&self, id: usize, all: &[Ports]) -> Result<(), Trouble> {
        let data = self.folder.join("data");
        fs::create_dir_all(&data)?;
        for entry in fs::read_dir(&self.recipe.formatted)? {
            let entry = entry?;
            fs::copy(entry.path(), data.join(entry.file_name()))?;
        }
        fs::write(data.join("meta.properties"), meta(&fs::read_to_string(data.join("meta.properties"))?, id))?;
        fs::copy(self.recipe.folder.join("log4j2.yaml"), self.folder.join("log4j2.yaml"))?;
        // Where a name stands twice in such a file, the last one counts.
        let mut text = fs::read_to_string(self.recipe.folder.join("server.properties"))?;
        text.push_str(FOR_ALL);
        text.push_str(if all.len() > 1 { FOR_THREE } else { "" });
        text.push_str(self.settings);
        text.push_str(&self.listeners(id, all));
        Ok(fs::write(self.folder.join("server.properties"), text)?)
    }

    fn listeners(&self, id: usize, all: &[Ports]) -> String {
        let voters: Vec<String> =
            all.iter().enumerate().map(|(at, ports)| format!("{}@{}", at + 1, ports.controller())).collect();
        let (direct, internal, controller) = (self.ports.direct(), self.ports.internal(), self.ports.controller());
        let (faulty, proxy) = self.ports.faulty();
        format!(
            "node.id={id}\ncontroller.quorum.voters={}\ninter.broker.listener.name=INTERNAL\n\
             listeners=DIRECT://{direct},INTERNAL://{internal},FAULTY://{faulty},CONTROLLER://{controller}\n\
             advertised.listeners=DIRECT://{direct},INTERNAL://{internal},FAULTY://{proxy}\n\
             listener.security.protocol.map=DIRECT:PLAINTEXT,INTERNAL:PLAINTEXT,FAULTY:PLAINTEXT,CONTROLLER:PLAINTEXT\n",
            voters.join(",")
        )
    }

    fn launch(&mut self) -> Result<(), Trouble> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("broker.log"))?;
        let mut java = Command::new("java");
        java.args(&self.recipe.jvm).arg("-Dlog4j2.configurationFile=log4j2.yaml");
        java.args(["-cp", &self.recipe.class_path, "kafka.Kafka", "server.properties"]);
        java.current_dir(&self.folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = java.spawn().map_err(|error| format!("java: {error}"))?;
        // Who started us ends it where we cannot.
        fs::write(self.folder.join("pid"), child.id().to_string())?;
        self.child = Some(child);
        Ok(())
    }

    /// Kafka opens the port when it is ready, not before.
    async fn serves(&mut self) -> Result<(), Trouble> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if tokio::net::TcpStream::connect(self.ports.direct()).await.is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().transpose()).transpose()? {
                return Err(format!("the broker ended, {status}: see {}/broker.log", self.folder.display()).into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err(format!("the broker does not serve: see {}/broker.log", self.folder.display()).into())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Nothing happens to one that has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The file by which a data folder knows its node: another number, and a folder id that no other has.
fn meta(text: &str, id: usize) -> String {
    let line = |line: &str| match line.split_once('=') {
        Some(("node.id", _)) => format!("node.id={id}\n"),
        Some(("directory.id", _)) => format!("directory.id=AAAAAAAAAAAAAAAAAAAB{id}Q\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Below where the system takes the ports of outgoing connections from, and none of the broker that tests share.
fn free_ports(count: usize) -> Result<Vec<Ports>, Trouble> {
    let each = Ports::EACH;
    let all_free = |first: &u16| (*first..*first + each).all(|port| std::net::TcpListener::bind(local(port)).is_ok());
    let found: Vec<Ports> = (19_100..20_000).step_by(each.into()).filter(all_free).take(count).map(Ports).collect();
    if found.len() == count { Ok(found) } else { Err("no free ports from 19100 on".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_folder_gets_a_number_and_an_id_of_its_own() {
        let text = "#\nnode.id=1\ndirectory.id=wFGhW4IkrfRMAY1Ckp7VWw\nversion=1\n";
        assert_eq!(meta(text, 3), "#\nnode.id=3\ndirectory.id=AAAAAAAAAAAAAAAAAAAB3Q\nversion=1\n");
    }
}
