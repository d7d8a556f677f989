//! What stands on a broker, as whoever looks at it without the bus sees it.

use std::collections::BTreeMap;

/// A message as it stands in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// In milliseconds since 1970.
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Positions by partition.
pub(crate) type Positions = BTreeMap<i32, i64>;

/// What a group has committed at a moment, and how much of the ledger had been written by then. What is committed was
/// finished before, and written down before that; so all of it must stand there.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) at: u64,
    pub(crate) committed: Positions,
    pub(crate) known: usize,
}
