//! Finished messages above the watermark, in runs of positions.

/// Positions from `first` to `last`, both included. What the log has in between is finished; what it does not have does
/// not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Run {
    /// Of the first message.
    pub first: i64,
    /// Of the last one.
    pub last: i64,
}

/// Arrivals with their state, what came again between them, and what has not come yet: as few runs as possible, rising.
pub(super) fn merge<'a>(
    open: impl Iterator<Item = (i64, bool)>,
    known: impl IntoIterator<Item = &'a Run>,
    inherited: impl IntoIterator<Item = &'a Run>,
) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut current: Option<Run> = None;
    let mut known = known.into_iter().copied().peekable();
    let extend = |current: &mut Option<Run>, run: Run| match current {
        Some(current) => current.last = run.last,
        None => *current = Some(run),
    };
    for (position, finished) in open {
        while let Some(run) = known.next_if(|run| run.last < position) {
            extend(&mut current, run);
        }
        match finished {
            true => extend(&mut current, Run { first: position, last: position }),
            false => runs.extend(current.take()),
        }
    }
    known.for_each(|run| extend(&mut current, run));
    runs.extend(current);
    // Between the last arrival and these there may be unfinished ones.
    runs.extend(inherited);
    runs
}
