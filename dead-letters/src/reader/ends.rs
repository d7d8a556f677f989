//! How far each partition has been read, and where it ended when reading began. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use gulo_bus_core::message::Origin;
use gulo_bus_core::settle::Lane;
use gulo_bus_core::transport::Delivery;

/// The partitions of one topic.
#[derive(Debug, Default)]
pub(super) struct Ends {
    places: HashMap<Option<u32>, Place>,
    lanes: HashMap<Lane, Option<u32>>,
}

#[derive(Debug, Default)]
struct Place {
    opened: bool,
    /// The first offset that is not to be read. Unknown where the broker does not tell: then all that comes is read.
    end: Option<i64>,
    /// The offset that comes next.
    next: Option<i64>,
}

impl Place {
    fn is_reached(&self) -> bool {
        self.end.is_some_and(|end| self.next.is_some_and(|next| next >= end))
    }

    fn advance(&mut self, next: i64) {
        self.next = Some(self.next.map_or(next, |had| had.max(next)));
    }
}

impl Ends {
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// A partition that ends at the offset of `origin`.
    pub(super) fn mark(&mut self, origin: &Origin) {
        self.places.insert(origin.partition, Place { end: origin.offset, ..Place::default() });
    }

    /// The reader has a partition, and begins there: again, after a connection was lost.
    pub(super) fn opened(&mut self, lane: Lane, origin: &Origin) {
        self.lanes.insert(lane, origin.partition);
        let place = self.places.entry(origin.partition).or_default();
        place.opened = true;
        if let Some(offset) = origin.offset {
            place.advance(offset);
        }
    }

    /// What stood before `to` is gone.
    pub(super) fn gap(&mut self, lane: Lane, to: i64) {
        if let Some(place) = self.lanes.get(&lane).and_then(|partition| self.places.get_mut(partition)) {
            place.advance(to);
        }
    }

    /// Whether a delivery is to be read: it stands before the end, and has not been read before.
    pub(super) fn arrives(&mut self, delivery: &Delivery) -> bool {
        let place = self.places.entry(delivery.partition).or_default();
        let Some(offset) = delivery.offset else { return true };
        let is_new = place.next.is_none_or(|next| offset >= next);
        place.advance(offset.saturating_add(1));
        is_new && place.end.is_none_or(|end| offset < end)
    }

    pub(super) fn all_opened(&self) -> bool {
        self.places.values().all(|place| place.opened)
    }

    pub(super) fn are_reached(&self) -> bool {
        self.places.values().all(Place::is_reached)
    }

    /// Where reading stands in partitions whose end has not been reached.
    pub(super) fn open(&self, topic: &Arc<str>) -> Vec<Origin> {
        let open = self.places.iter().filter(|(_, place)| !place.is_reached());
        let at = |(partition, place): (&Option<u32>, &Place)| Origin {
            topic: Arc::clone(topic),
            partition: *partition,
            offset: place.next,
        };
        let mut open: Vec<_> = open.map(at).collect();
        open.sort_by_key(|origin| origin.partition);
        open
    }
}

#[cfg(test)]
mod tests {
    use gulo_bus_core::message::Message;
    use gulo_bus_core::settle::Token;

    use super::*;

    const LANE: Lane = Lane { slot: 0, epoch: 0 };

    fn at(offset: Option<i64>) -> Origin {
        Origin { topic: "t".into(), partition: Some(0), offset }
    }

    fn delivery(offset: Option<i64>) -> Delivery {
        let token = Token { lane: LANE, seq: 0 };
        Delivery { message: Message::new("t", "x"), token, partition: Some(0), offset, redelivered: 0 }
    }

    fn from_0_to(end: Option<i64>) -> Ends {
        let mut ends = Ends::default();
        ends.mark(&at(end));
        ends.opened(LANE, &at(Some(0)));
        ends
    }

    #[test]
    fn an_empty_partition_is_at_its_end_when_it_opens() {
        let mut ends = Ends::default();
        ends.mark(&at(Some(7)));
        assert!(!ends.are_reached() && !ends.all_opened());
        ends.opened(LANE, &at(Some(7)));
        assert!(ends.are_reached() && ends.all_opened());
    }

    #[test]
    fn what_comes_behind_the_end_is_not_read_and_shows_that_it_is_reached() {
        let mut ends = from_0_to(Some(2));
        assert!(ends.arrives(&delivery(Some(0))) && !ends.are_reached());
        // Nothing can be delivered of 1.
        assert!(!ends.arrives(&delivery(Some(2))) && ends.are_reached());
    }

    #[test]
    fn what_comes_again_after_a_reconnect_is_not_read_again() {
        let mut ends = from_0_to(Some(3));
        assert!(ends.arrives(&delivery(Some(0))));
        ends.opened(Lane { epoch: 1, ..LANE }, &at(Some(0)));
        assert!(!ends.arrives(&delivery(Some(0))) && ends.arrives(&delivery(Some(1))));
        assert_eq!(ends.open(&"t".into()), [at(Some(2))]);
    }

    #[test]
    fn retention_may_take_all_there_was() {
        let mut ends = from_0_to(Some(3));
        ends.gap(LANE, 3);
        assert!(ends.are_reached() && ends.open(&"t".into()).is_empty());
    }

    #[test]
    fn without_offsets_all_is_read_and_no_end_is_known() {
        let mut ends = Ends::default();
        ends.mark(&at(None));
        ends.opened(LANE, &at(None));
        assert!(ends.arrives(&delivery(None)) && ends.arrives(&delivery(None)) && !ends.are_reached());
    }
}
