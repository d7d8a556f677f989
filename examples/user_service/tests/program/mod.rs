//! The programs as processes, and how they are asked over HTTP.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A program that runs, and what it has said on stdout.
pub(crate) struct Program {
    name: &'static str,
    pub(crate) child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Program {
    pub(crate) fn start(name: &'static str, path: &str, environment: &[(&str, String)]) -> Self {
        let mut command = Command::new(path);
        command.env("HTTP_ADDRESS", "127.0.0.1:0").envs(environment.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let (lines, out) = (Arc::<Mutex<Vec<String>>>::default(), child.stdout.take().expect("piped"));
        let heard = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                heard.lock().expect("whole").push(line);
            }
        });
        Self { name, child, lines }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("whole").clone()
    }

    /// The first line with all of `parts` in it.
    pub(crate) fn until(&self, parts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.lines().into_iter().find(|line| parts.iter().all(|part| line.contains(part)));
            if let Some(line) = found {
                return line;
            }
            assert!(Instant::now() < deadline, "{} never said {parts:?}: {:#?}", self.name, self.lines());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(part)).count()
    }

    /// As a platform stops it.
    pub(crate) fn signal(&self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill");
        assert!(told.success());
    }

    /// The same; it has to end in peace.
    pub(crate) fn stop(&mut self) {
        self.signal();
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("waits") {
                break status;
            }
            assert!(Instant::now() < deadline, "{} does not end", self.name);
            thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{} ended with {status}: {:#?}", self.name, self.lines());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let of = |line: &'_ str| line.split_once(": ").filter(|(have, _)| have.eq_ignore_ascii_case(name)).is_some();
        self.headers.lines().find(|line| of(line))?.split_once(": ").map(|(_, value)| value)
    }
}

pub(crate) fn ask(address: &str, method: &str, path: &str, conversation: &str, body: Option<Value>) -> Answer {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nx-correlation-id: {conversation}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("asks");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    let (headers, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = headers.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, headers: headers.to_owned(), body: serde_json::from_str(body).unwrap_or_default() }
}

pub(crate) fn listens_at(program: &Program) -> String {
    program.until(&["listening on "]).trim_start_matches("listening on ").to_owned()
}
