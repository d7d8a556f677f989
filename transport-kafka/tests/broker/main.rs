//! The transport on a real broker: `scripts/brokers up kafka`. Without one these cases are shown as ignored, with the
//! reason, and fail where `GULO_REQUIRE` names `kafka`.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod anew;
mod errors;
mod faults;
mod groups;
mod lanes;
mod members;
mod publishing;
#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod rig;
mod solo;
mod support;
mod topology;
mod transactions;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

type Body = fn() -> std::pin::Pin<Box<dyn Future<Output = ()>>>;

macro_rules! cases {
    ($($module:ident::$name:ident;)*) => {
        const CASES: &[(&str, Body)] = &[$((
            concat!(stringify!($module), "::", stringify!($name)),
            || Box::pin($module::$name()),
        ),)*];
    };
}

cases! {
    anew::one_that_has_grown_past_the_old_position_is_read_from_its_beginning;
    anew::a_group_does_not_stand_in_the_new_one_where_the_old_one_was_read_to;
    errors::topics_that_cannot_be_made_are_told_with_what_to_do;
    errors::messages_that_cannot_be_sent_are_told_with_what_to_do;
    errors::subscriptions_and_transactions_that_cannot_be_are_told_with_what_to_do;
    errors::times_without_an_end_are_taken;
    faults::close_returns_by_its_deadline_with_the_broker_gone;
    faults::a_reader_says_that_the_broker_is_gone_and_goes_on_by_itself;
    faults::a_publish_that_is_cut_off_in_flight_is_unknown;
    faults::a_publisher_closes_by_its_deadline_and_tells_who_waits;
    faults::lanes_of_a_member_that_was_away_too_long_are_lost_and_come_back;
    groups::a_restart_goes_on_behind_what_was_settled;
    groups::what_was_committed_survives_a_drop_without_close;
    groups::a_second_member_takes_over_and_back_without_loss_or_repetition;
    groups::the_same_with_an_eager_assignor;
    groups::the_same_with_the_new_group_protocol;
    groups::a_paused_lane_that_moved_away_and_back_is_not_paused;
    groups::lanes_that_are_not_released_are_taken_at_the_deadline;
    groups::a_group_that_starts_at_the_end_does_so_once;
    groups::a_group_that_starts_at_the_end_gets_what_is_published_from_its_subscription_on;
    groups::a_pattern_matches_the_whole_name_and_topics_made_later;
    groups::spec_errors_are_told_before_anything_begins;
    lanes::a_full_lane_is_held_back_alone;
    lanes::no_more_are_taken_at_a_time_than_is_said;
    lanes::a_released_lane_opens_again_with_what_was_unsettled;
    lanes::a_released_lane_is_durable_when_it_says_so;
    lanes::seeks_go_where_they_are_told;
    lanes::a_seek_behind_the_newest_gets_only_what_comes;
    lanes::a_paused_lane_delivers_nothing_until_it_is_resumed;
    lanes::verdicts_that_come_too_late_or_that_kafka_lacks_do_nothing;
    members::a_static_member_that_comes_back_in_time_moves_nothing;
    members::lanes_of_a_static_member_that_stays_away_move_after_its_session;
    members::a_second_member_of_the_same_name_ends_the_first_by_name;
    members::a_solo_reader_of_a_static_member_disturbs_nobody;
    publishing::every_field_comes_back_as_it_was_sent;
    publishing::what_cannot_be_sent_comes_back_and_the_rest_is_sent;
    publishing::a_message_of_the_very_limit_is_taken;
    publishing::small_messages_refused_together_are_not_called_refused;
    publishing::a_full_local_queue_makes_publishers_wait_and_keeps_the_order;
    publishing::a_dropped_publish_is_still_sent_and_close_waits_for_it;
    solo::a_solo_reader_begins_where_it_is_told_every_time;
    solo::a_solo_reader_at_the_end_gets_what_is_published_from_then_on;
    solo::a_solo_reader_of_a_pattern_reads_all_of_it;
    topology::what_is_missing_is_created_or_named;
    topology::what_the_broker_refuses_to_create_is_named;
    topology::names_that_no_topic_can_have_are_refused_everywhere_and_the_rest_goes_on;
    topology::a_broker_that_is_not_there_is_named_with_the_cause_and_in_time;
    topology::a_wrong_configuration_is_told_without_its_secrets;
    transactions::the_group_stands_where_transactions_say_and_nobody_sets_it_back;
    transactions::a_member_of_the_new_group_protocol_settles_in_transactions;
    transactions::one_that_took_too_long_says_so_and_the_next_begins_anew;
    transactions::a_commit_that_is_cut_off_happens_once_or_not_at_all;
    transactions::a_member_that_was_thrown_out_commits_nothing;
    transactions::what_stands_behind_an_open_one_waits_and_is_no_trouble;
    transactions::a_lane_whose_progress_could_not_be_looked_up_settles_in_no_transaction;
    transactions::transactions_and_ordinary_commits_that_never_cease_let_each_other_pass;
    transactions::a_publish_that_is_dropped_midway_takes_its_transaction_back;
    transactions::a_broker_that_is_not_there_is_named_in_time;
}

fn run(body: Body) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(body());
    // A client of a dead broker may be on its way out still.
    runtime.shutdown_background();
    Ok(())
}

fn main() -> ExitCode {
    let broker = rig::Broker::find();
    let absent = broker.unavailable();
    let required = std::env::var("GULO_REQUIRE").unwrap_or_default();
    let required = required.split(',').any(|name| name.trim() == "kafka");
    let kind = absent.clone().unwrap_or_else(|| broker.title());
    let trial = |(name, body): &(&str, Body)| {
        let (body, absent) = (*body, absent.clone());
        let ignored = absent.is_some() && !required;
        let case = move || match absent {
            Some(why) => Err(format!("GULO_REQUIRE names kafka: {why}").into()),
            None => run(body),
        };
        Trial::test(*name, case).with_kind(kind.clone()).with_ignored_flag(ignored)
    };
    libtest_mimic::run(&Arguments::from_args(), CASES.iter().map(trial).collect()).exit_code()
}
