//! What a node did, line by line, in a file that outlives it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use crate::Trouble;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A handler began.
    Began,
    /// Its effect was done.
    Effect,
    /// It failed.
    Failed,
    /// Its future was dropped before it came to an end.
    Dropped,
    /// Written by the parent, of the process as a whole: it has ended, however; it was stopped (SIGSTOP), and woken again.
    Gone,
    Stopped,
    Woke,
}

/// One line: what a handler did with one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) key: usize,
    pub(crate) number: usize,
    pub(crate) partition: u32,
    pub(crate) offset: i64,
    pub(crate) at: u64,
    /// Which process wrote it.
    pub(crate) process: u32,
}

impl Entry {
    fn line(&self) -> String {
        let kind = match self.kind {
            Kind::Began => 'B',
            Kind::Effect => 'E',
            Kind::Failed => 'F',
            Kind::Dropped => 'D',
            Kind::Gone => 'X',
            Kind::Stopped => 'S',
            Kind::Woke => 'W',
        };
        let Self { key, number, partition, offset, at, process, .. } = self;
        format!("{kind} {key} {number} {partition} {offset} {at} {process}\n")
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let kind = match words.next()? {
            "B" => Kind::Began,
            "E" => Kind::Effect,
            "F" => Kind::Failed,
            "D" => Kind::Dropped,
            "X" => Kind::Gone,
            "S" => Kind::Stopped,
            "W" => Kind::Woke,
            _ => return None,
        };
        let mut next = || words.next()?.parse::<u64>().ok();
        Some(Self {
            kind,
            key: next()? as usize,
            number: next()? as usize,
            partition: next()? as u32,
            offset: next()? as i64,
            at: next()?,
            process: next()? as u32,
        })
    }
}

/// The writing end. One call of the system a line: what was written is there, however the process ends.
#[derive(Debug)]
pub(crate) struct Writer(File);

impl Writer {
    pub(crate) fn open(path: impl AsRef<Path>) -> Result<Self, Trouble> {
        Ok(Self(OpenOptions::new().create(true).append(true).open(path)?))
    }

    /// What became of a whole process.
    pub(crate) fn mark(&self, kind: Kind, process: u32) -> std::io::Result<()> {
        self.write(&Entry { kind, key: 0, number: 0, partition: 0, offset: 0, at: crate::now(), process })
    }

    pub(crate) fn write(&self, entry: &Entry) -> std::io::Result<()> {
        (&self.0).write_all(entry.line().as_bytes())
    }
}

/// The reading end, which follows what is written.
#[derive(Debug)]
pub(crate) struct Reader {
    file: File,
    rest: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
}

impl Reader {
    pub(crate) fn open(path: impl AsRef<Path>) -> Result<Self, Trouble> {
        let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        Ok(Self { file, rest: Vec::new(), entries: Vec::new() })
    }

    /// Takes in what was written since. Returns how many entries were known before.
    pub(crate) fn follow(&mut self) -> Result<usize, Trouble> {
        let known = self.entries.len();
        self.file.read_to_end(&mut self.rest)?;
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in std::str::from_utf8(&self.rest[..whole])?.lines() {
            let entry = Entry::parse(line).ok_or_else(|| format!("no line of a ledger: {line:?}"))?;
            self.entries.push(entry);
        }
        self.rest.drain(..whole);
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let entry = Entry {
            kind: Kind::Failed,
            key: 1,
            number: 2,
            partition: 3,
            offset: 4,
            at: 1_700_000_000_000_000,
            process: 6,
        };
        assert_eq!(Entry::parse(entry.line().trim_end()), Some(entry));
        assert_eq!(Entry::parse("E 1 2 3"), None);
    }
}
