//! A node as its parent sees it.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::Trouble;
use crate::node::Options;

const PATIENCE: Duration = Duration::from_secs(30);

/// A child of this process. Whatever becomes of us, it ends: it reads from us.
#[derive(Debug)]
pub(crate) struct Member(Child);

impl Member {
    /// A node of `group`, which writes to `folder`. At the broker that the environment names, unless others are.
    pub(crate) fn start(
        folder: &Path,
        topic: &str,
        group: &str,
        options: &Options,
        servers: Option<&str>,
    ) -> Result<Self, Trouble> {
        let log = OpenOptions::new().create(true).append(true).open(folder.join("node.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["node", topic, group]).arg(ledger(folder)).arg(serde_json::to_string(options)?);
        if let Some(servers) = servers {
            command.env(options.on.variable(), servers);
        }
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let member = Self(command.spawn()?);
        // For whoever cleans up after us: one that is stopped does not see that we are gone.
        std::fs::write(folder.join(format!("member-{}.pid", member.pid())), member.pid().to_string())?;
        Ok(member)
    }

    /// Stops it (SIGSTOP), and waits until all of it stands still.
    pub(crate) fn halt(&self) -> Result<(), Trouble> {
        signal(self.pid(), "STOP")?;
        let stat = format!("/proc/{}/stat", self.pid());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // Its state stands behind its name, which is in brackets.
            if std::fs::read_to_string(&stat)?.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" T")) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err("a member cannot be stopped".into())
    }

    /// `kill -9`, to this process alone.
    pub(crate) fn kill(mut self) -> Result<(), Trouble> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// Asks it to stop. Whether it did so in peace and in time.
    pub(crate) fn stop(mut self) -> Result<bool, Trouble> {
        drop(self.0.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait()? {
                return Ok(ExitStatus::success(&status));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(false)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Fails where it has ended by itself.
    pub(crate) fn must_live(&mut self) -> Result<(), Trouble> {
        match self.0.try_wait()? {
            Some(status) => Err(format!("the node ended by itself, {status}: see its node.log").into()),
            None => Ok(()),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Nothing happens to one that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn ledger(folder: &Path) -> std::path::PathBuf {
    folder.join("ledger")
}

/// Sends a signal by its name. The shell has it built in everywhere.
pub(crate) fn signal(pid: u32, name: &str) -> Result<(), Trouble> {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status()?;
    if status.success() { Ok(()) } else { Err(format!("pid {pid} could not be sent {name}").into()) }
}
