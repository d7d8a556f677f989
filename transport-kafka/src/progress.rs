//! What is finished above the committed offset, as it travels in the commit's metadata, so that the next owner of a partition
//! repeats nothing of it.
//!
//! `gulo1 <offset> <gap>+<length>,..`: from the committed offset on, so many offsets that are not finished, so many that are,
//! and so on. ASCII, and short enough for the broker's `offset.metadata.max.bytes` of 4,096. The offset stands in it too:
//! metadata that somebody copied to another position says nothing about that.

use std::fmt::Write as _;

use gulo_bus_core::settle::Run;

const MAGIC: &str = "gulo1";

/// Leaves room: brokers count 4,096 bytes by default.
const MOST: usize = 4000;

/// The metadata of a commit at `offset`. Where not all fits, the runs that are left out are handled again.
pub(crate) fn encode(offset: i64, runs: &[Run]) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let (mut text, mut at) = (format!("{MAGIC} {offset} "), offset);
    for Run { first, last } in runs {
        let before = text.len();
        // Writing into a string does not fail.
        let _ = write!(text, "{}+{},", first - at, last - first + 1);
        if text.len() > MOST {
            text.truncate(before);
            break;
        }
        at = last + 1;
    }
    text
}

/// Whether all of it can be told.
pub(crate) fn fits(offset: i64, runs: &[Run]) -> bool {
    decode(offset, encode(offset, runs).as_bytes()).len() == runs.len()
}

/// What the metadata of a commit at `offset` says, rising. Nothing where it is foreign, of another version, or damaged: then
/// what it would have said is handled again.
pub(crate) fn decode(offset: i64, metadata: &[u8]) -> Vec<Run> {
    parse(offset, metadata).unwrap_or_default()
}

fn parse(offset: i64, metadata: &[u8]) -> Option<Vec<Run>> {
    let text = std::str::from_utf8(metadata).ok()?;
    let (base, runs) = text.strip_prefix(MAGIC)?.strip_prefix(' ')?.split_once(' ')?;
    if base.parse() != Ok(offset) {
        return None;
    }
    let mut at = offset;
    let mut run = |text: &str| {
        let (gap, length) = text.split_once('+')?;
        let (gap, length) = (gap.parse::<i64>().ok()?, length.parse::<i64>().ok()?);
        if gap < 0 || length < 1 {
            return None;
        }
        let first = at.checked_add(gap)?;
        at = first.checked_add(length)?;
        Some(Run { first, last: at - 1 })
    };
    runs.split_terminator(',').map(&mut run).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn runs(offset: i64, gaps: &[(i64, i64)]) -> Vec<Run> {
        let mut at = offset;
        let run = |(gap, length): &(i64, i64)| {
            let first = at + gap;
            at = first + length;
            Run { first, last: at - 1 }
        };
        gaps.iter().map(run).collect()
    }

    #[test]
    fn it_reads_as_documented() {
        assert_eq!(encode(100, &runs(100, &[(1, 2), (3, 10)])), "gulo1 100 1+2,3+10,");
        assert_eq!(decode(100, b"gulo1 100 1+2,3+10,"), [Run { first: 101, last: 102 }, Run { first: 106, last: 115 }]);
        assert_eq!(encode(7, &[]), "");
    }

    #[test]
    fn what_is_foreign_or_damaged_says_nothing() {
        let foreign: [&[u8]; 11] = [
            b"",
            b"consumer-1",
            b"gulo2 100 1+2,",
            b"gulo1 99 1+2,",
            b"gulo1 100 1+0,",
            b"gulo1 100 -1+2,",
            b"gulo1 100 1+2,x",
            b"gulo1 100 1+",
            b"gulo1 100 9223372036854775807+1,",
            b"gulo1 100 1+9223372036854775807,",
            b"gulo1 100 \xff",
        ];
        for metadata in foreign {
            assert_eq!(decode(100, metadata), [], "{}", String::from_utf8_lossy(metadata));
        }
    }

    proptest! {
        #[test]
        fn what_fits_is_read_back_and_the_rest_is_cut_whole(
            offset in 0..i64::MAX / 2,
            gaps in proptest::collection::vec((0..3_000i64, 1..3_000i64), 0..900),
        ) {
            let all = runs(offset, &gaps);
            let text = encode(offset, &all);
            prop_assert!(text.len() <= MOST && text.is_ascii());
            let read = decode(offset, text.as_bytes());
            prop_assert_eq!(&read[..], &all[..read.len()]);
            prop_assert!(read.len() == all.len() || text.len() > MOST - 20);
            prop_assert_eq!(fits(offset, &all), read.len() == all.len());
            prop_assert!(all.is_empty() || decode(offset + 1, text.as_bytes()).is_empty());
        }

        #[test]
        fn anything_may_come(metadata in proptest::collection::vec(any::<u8>(), 0..60), offset in any::<i64>()) {
            let _ = decode(offset, &metadata);
        }
    }
}
