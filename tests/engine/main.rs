//! The engine on every broker: the whole bus (builder, subscription, handlers, policies), one suite, written once. On memory, as
//! a log and as queues, the clock is the test's own, so waits are exact; on Kafka and RabbitMQ it is a real broker and a real
//! clock.
//!
//! A case that a broker has no capability for, or whose broker is not there, is shown as ignored, with the reason, and never as
//! passed. Where `GULO_REQUIRE` names a broker that is not there, its cases fail.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod application;
mod backend;
mod bench;
mod cannot_be_read;
mod dead_letters;
mod formats;
mod hindered;
mod later;
mod limits;
mod missing_topic;
mod order;
mod reference;
mod restart;
mod retry;
mod routes;
mod run;
mod shared;
mod stopping;

use std::pin::Pin;
use std::process::ExitCode;

use gulo::transport::Capability;

use bench::Bench;

/// A sentence about the engine.
struct Case {
    name: &'static str,
    /// What the broker must offer.
    needs: &'static [Capability],
    body: fn(Bench) -> Pin<Box<dyn Future<Output = ()>>>,
}

macro_rules! cases {
    ($($module:ident::$name:ident $(needs $capability:ident)?;)*) => {
        const CASES: &[Case] = &[$(Case {
            name: stringify!($name),
            needs: &[$(Capability::$capability)?],
            body: |bench| Box::pin($module::$name(bench)),
        },)*];
    };
}

cases! {
    // The slowest on Kafka first.
    missing_topic::a_dead_letter_topic_that_is_missing_parks_visibly_until_it_is_made;
    missing_topic::a_parked_message_is_left_at_shutdown_and_comes_again;
    stopping::a_hand_over_lets_what_is_in_work_finish_and_repeats_nothing needs Partitions;
    dead_letters::too_many_dead_letters_in_a_row_stop_their_lane_until_a_trial_succeeds;
    stopping::shutdown_ends_by_its_deadline_and_settles_nothing_that_is_not_finished;
    restart::a_restart_goes_on_behind_what_was_finished;
    routes::a_pattern_finds_topics_made_later_and_passes_over_dead_letters needs Patterns;
    formats::a_topic_that_changes_its_codec_while_it_is_read_loses_nothing_and_keeps_its_order;
    formats::a_codec_that_is_not_read_is_a_dead_letter_that_names_what_is;
    formats::structured_events_are_read_beside_binary_ones;
    formats::the_envelope_of_building_blocks_is_read_beside_our_own_and_written;
    routes::handlers_of_one_type_have_an_outcome_each_and_only_what_failed_is_tried_again;
    routes::a_letter_says_what_each_handler_said_that_failed;
    routes::a_letter_published_again_is_for_its_group_only;
    routes::a_single_publish_may_differ_in_topic_key_headers_and_partition needs Partitions;
    routes::topics_are_called_on_the_broker_as_the_strategy_says;
    order::the_attempts_of_a_key_keep_their_order_through_failures_of_every_kind;
    order::later_messages_of_a_failed_key_wait_and_other_keys_of_its_lane_flow;
    order::a_message_that_waits_gives_its_place_to_others;
    order::one_after_the_other_means_that_everything_waits_for_a_retry;
    retry::attempts_come_after_the_waits_of_the_policy_and_as_often_as_it_says;
    retry::the_wait_that_a_handler_asks_for_goes_before_the_policy;
    retry::a_message_that_succeeds_at_last_is_no_dead_letter_and_does_not_come_again;
    retry::a_panic_is_a_failure_like_any_other;
    retry::a_handler_that_passes_its_deadline_is_dropped_and_tried_again;
    later::a_message_is_tried_again_after_each_delay_until_it_succeeds needs DeliverAt;
    later::when_all_delays_are_used_up_it_is_a_dead_letter_of_its_own_topic needs DeliverAt;
    later::what_failed_for_good_or_cannot_be_read_does_not_wait needs DeliverAt;
    later::later_messages_of_its_key_go_on_meanwhile needs DeliverAt;
    later::another_group_hears_nothing_of_it needs DeliverAt;
    later::a_handler_sees_nothing_of_how_it_came needs DeliverAt;
    later::what_others_write_into_a_retry_topic_does_no_harm needs DeliverAt;
    later::of_several_handlers_only_those_that_failed_are_called_later needs DeliverAt;
    later::a_copy_for_later_that_is_not_taken_settles_nothing_and_is_offered_again needs DeliverAt;
    later::a_crash_between_copy_and_settle_may_double_and_never_loses needs DeliverAt;
    later::what_waits_outlives_its_bus needs DeliverAt;
    later::a_retry_topic_that_is_missing_is_named_at_start needs DeliverAt;
    dead_letters::a_poisoned_message_is_dead_lettered_and_its_key_goes_on;
    dead_letters::a_permanent_failure_is_a_dead_letter_at_once;
    dead_letters::a_dead_letter_says_by_value_why_and_when_and_from_where;
    cannot_be_read::what_does_not_decode_is_a_dead_letter_with_its_raw_bytes_and_the_topic_goes_on;
    cannot_be_read::a_type_without_a_handler_and_a_tombstone_are_passed_over_and_counted needs Tombstones;
    cannot_be_read::a_type_without_a_handler_is_a_dead_letter_where_the_group_says_so;
    limits::as_many_run_at_a_time_as_is_said_and_no_more;
    limits::no_more_messages_are_inside_than_is_said;
    limits::a_stuck_message_holds_up_its_lane_where_the_window_ends_and_no_sooner;
    stopping::shutdown_lets_what_is_in_work_finish_and_leaves_the_rest;
    reference::reference_bug_01_failed_message_is_not_lost;
    reference::reference_bug_03_who_handles_an_event_reads_where_it_is_published;
    reference::reference_bug_06_a_dead_letter_is_published_and_confirmed;
    reference::reference_bug_07_a_publish_that_fails_after_the_handler_is_not_swallowed;
    reference::reference_bug_09_a_poison_payload_does_not_stop_its_partition;
    reference::reference_bug_11_what_is_in_work_finishes_before_the_service_closes_anything;
    application::what_a_request_led_to_is_handled_elsewhere_and_led_on_in_one_conversation;
    application::a_consumer_that_is_stopped_and_started_again_loses_nothing_and_repeats_nothing;
    restart::a_bus_that_is_dropped_settles_nothing_it_did_not_finish;
}

fn main() -> ExitCode {
    run::all(CASES)
}
