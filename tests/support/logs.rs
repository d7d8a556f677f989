//! What the bus says to `tracing`, to look at.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

static LOGS: OnceLock<Logs> = OnceLock::new();

/// All that was logged in this process from `info` on, one line each: tests tell theirs by the names of their groups.
#[derive(Default)]
pub struct Logs(Mutex<Vec<u8>>);

impl Logs {
    /// Begins to listen, where nobody does yet.
    pub fn listen() -> &'static Self {
        LOGS.get_or_init(|| {
            let write = || LOGS.get().map_or(Writer(None), |logs| Writer(Some(logs.0.lock().expect("whole"))));
            tracing_subscriber::fmt().with_writer(Lines(write)).with_ansi(false).without_time().init();
            Self::default()
        })
    }

    /// Lines that have all of `words`.
    pub fn with(&self, words: &[&str]) -> Vec<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&bytes);
        text.lines().filter(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned).collect()
    }
}

struct Lines(fn() -> Writer<'static>);

struct Writer<'a>(Option<MutexGuard<'a, Vec<u8>>>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Writer<'a>;

    fn make_writer(&'a self) -> Writer<'a> {
        (self.0)()
    }
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(lines) = &mut self.0 {
            lines.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
