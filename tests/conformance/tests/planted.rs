//! Cases can fail: a transport is broken on purpose, in one way at a time, and the case that is there for it turns red.

#[path = "planted/broken.rs"]
mod broken;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gulo_bus_core::transport::Transport;
use gulo_conformance::{Break, Cut, Harness, Link};
use gulo_transport_memory::{Faults, MemoryConfig, MemoryTransport, Shape};

use broken::{Broken, Fault};

struct Planted {
    broker: MemoryTransport,
    fault: Fault,
}

#[async_trait]
impl Harness for Planted {
    fn name(&self) -> &str {
        "planted"
    }

    fn require_name(&self) -> &str {
        "planted"
    }

    fn broker(&self) -> Option<String> {
        None
    }

    fn unavailable(&self) -> Option<String> {
        None
    }

    async fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(Broken::new(self.broker.clone(), self.fault))
    }

    async fn cut(&self) -> Option<Cut> {
        Some(Cut::new(self.transport().await, Switch(self.broker.faults())))
    }

    fn no_cut(&self) -> Option<String> {
        None
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(2)
    }
}

struct Switch(Faults);

#[async_trait]
impl Link for Switch {
    async fn cut(&self, _how: Break) {
        self.0.down();
    }

    async fn heal(&self) {
        self.0.up();
    }
}

fn outcome(fault: Fault, case: &str) -> Result<(), String> {
    let config = MemoryConfig::new().max_message_bytes(4096).publish_timeout(Duration::from_millis(200));
    // Only queues deliver at another time.
    let shape = if case.contains("for_later") { Shape::Queue } else { Shape::Log };
    let broker = MemoryTransport::with(config.shape(shape));
    gulo_conformance::run_one(Arc::new(Planted { broker, fault }), case)
}

macro_rules! planted {
    ($($name:ident: $fault:ident => $case:literal;)*) => {$(
        #[test]
        fn $name() {
            assert_eq!(outcome(Fault::None, $case), Ok(()), "whole, it passes");
            let red = outcome(Fault::$fault, $case);
            println!("{red:?}");
            assert!(red.is_err(), "{:?} is planted, and `{}` does not see it", Fault::$fault, $case);
        }
    )*};
}

planted! {
    confirmed_without_being_sent: ConfirmsUnsent => "what_is_confirmed_is_there";
    confirmed_though_the_broker_is_away: ConfirmsFailed => "publishing_to_a_broker_that_has_died_fails_truthfully";
    a_failed_message_returned_under_another_index: ShiftsIndexes =>
        "an_oversized_message_is_refused_and_the_rest_is_confirmed";
    one_refused_message_takes_its_batch_with_it: FailsWholeBatch =>
        "an_oversized_message_is_refused_and_the_rest_is_confirmed";
    a_wish_ignored: IgnoresWishes => "a_priority_is_refused_by_name";
    a_time_ignored: IgnoresWishes => "a_message_for_later_does_not_come_early";
    a_tombstone_made_empty: FillsTombstones => "a_tombstone_stays_apart_from_an_empty_payload";
    a_null_header_made_empty: FillsNullHeaders => "a_null_header_stays_apart_from_an_empty_one";
    order_turned_around: SwapsMessages => "messages_of_a_key_keep_their_order";
    settled_before_it_is_handed_out: SettlesEarly => "what_is_not_settled_is_delivered_again_in_order";
    settled_before_the_hand_over: SettlesEarly => "a_new_member_takes_over_without_loss_or_repetition";
    unsettled_settled_by_a_release: SettlesOnRelease => "a_released_lane_opens_again_with_what_was_unsettled";
    the_highest_verdict_taken_for_all_below: SettlesAllBelow => "what_is_settled_out_of_order_loses_nothing";
    verdicts_counted_instead_of_matched: CountsVerdicts => "a_verdict_given_twice_does_nothing";
    the_epoch_ignored: IgnoresEpochs => "a_verdict_of_an_earlier_epoch_does_nothing";
    the_epoch_ignored_after_a_move: IgnoresEpochs => "a_move_alone_changes_nothing_for_the_group";
    a_close_without_a_commit: ClosesHard => "a_close_makes_verdicts_durable_whatever_the_policy";
    the_window_ignored: IgnoresWindow => "a_full_lane_delivers_no_more_until_it_is_settled";
    the_window_counted_by_unsettled_ones: IgnoresWindow => "the_window_counts_from_the_oldest_unsettled_message";
    the_room_ignored: IgnoresRoom => "without_room_there_are_events_and_no_deliveries";
    a_pause_answered_and_not_done: IgnoresPause => "a_paused_lane_leaves_the_others_running";
    deliveries_held_by_the_future: LosesOnCancel => "a_receive_dropped_midway_loses_nothing";
    an_error_where_the_source_should_go_on: FailsWhenDegraded =>
        "a_source_goes_on_by_itself_when_its_broker_is_back";
    a_deadline_ignored: ClosesLate => "a_source_of_a_dead_broker_closes_by_its_deadline";
}
