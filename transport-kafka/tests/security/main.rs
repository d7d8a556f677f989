//! Logins, rights and certificates on a real secured broker: `scripts/brokers up kafka-secure`. Without it these cases are shown
//! as ignored, with the reason, and fail where `GULO_REQUIRE` names `kafka`.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod certificates;
mod enough;
mod halves;
mod hints;
mod later;
mod mechanisms;
mod place;
mod publishing;
mod refusals;
#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod rig;
mod rights;
mod several;
mod silence;
#[path = "../broker/support.rs"]
#[allow(dead_code)]
mod support;
mod tokens;
mod withdrawn;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

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
    mechanisms::tls_with_a_certificate_of_ours_from_files;
    mechanisms::tls_with_a_certificate_of_ours_as_text;
    mechanisms::sasl_plain;
    mechanisms::scram_sha_256;
    mechanisms::scram_sha_512;
    mechanisms::scram_in_the_open;
    mechanisms::what_a_deployment_sets_in_its_environment;
    refusals::a_wrong_password;
    refusals::a_mechanism_that_the_broker_has_not;
    refusals::a_ca_that_is_not_ours;
    refusals::a_certificate_that_has_expired;
    refusals::a_certificate_of_another_host;
    refusals::no_certificate_of_ours_where_one_is_wanted;
    refusals::no_tls_where_it_is_wanted;
    refusals::tls_where_there_is_none;
    refusals::a_broker_that_is_not_there;
    refusals::a_host_that_is_not_there;
    refusals::a_topic_that_is_not_there;
    refusals::a_publish_that_cannot_log_in_tells_the_cause_when_its_time_is_over;
    refusals::a_transaction_that_cannot_log_in;
    rights::a_topic_that_is_not_for_us_is_refused_to_who_publishes;
    rights::a_topic_that_is_not_for_us_is_refused_to_who_reads;
    rights::a_group_that_is_not_for_us_is_refused_at_once;
    rights::a_topic_that_we_may_not_make_is_named;
    enough::to_publish_write_on_the_topic;
    enough::to_consume_read_on_the_topic_and_on_the_group;
    enough::to_read_alone_read_on_the_topic;
    enough::to_make_a_topic_create_on_it;
    enough::for_a_transaction_write_on_its_id_too;
    hints::a_token_that_is_refused;
    hints::what_the_listener_wants_and_we_do_not_do;
    hints::tls_where_there_is_none_with_a_login_and_without;
    hints::a_login_where_none_is_wanted;
    hints::each_fault_of_a_certificate;
    halves::a_topic_that_we_may_find_but_not_read_is_named;
    halves::a_group_that_we_may_find_but_not_join_is_named;
    halves::a_group_that_is_not_for_us_is_refused_to_a_pattern_too;
    halves::a_topic_that_may_not_be_read_any_more_is_named_by_the_source;
    halves::all_topics_that_may_not_be_read_are_named_in_one_error;
    halves::asking_first_costs_little;
    later::a_new_password_is_wanted_from_the_next_connection_on;
    later::a_login_that_fails_after_the_start_shows_and_heals;
    later::a_certificate_that_expires_after_the_start_shows_and_heals;
    later::a_right_that_is_taken_away_shows_and_its_return_heals;
    tokens::a_provider_logs_in_and_is_asked_again_before_its_token_ends;
    tokens::a_provider_that_fails_at_first_fails_the_start_in_its_deadline;
    tokens::a_token_that_the_broker_does_not_take_is_a_clear_error;
    tokens::a_provider_that_fails_later_shows_and_heals;
    tokens::a_slow_provider_keeps_nothing_waiting;
    certificates::what_is_wrong_is_found_out_with_a_ca_as_text_too;
    certificates::a_certificate_of_ours_that_the_broker_does_not_trust;
    certificates::a_key_of_another_certificate_is_named;
    certificates::a_key_with_a_password;
    certificates::a_ca_between;
    certificates::a_certificate_that_expires_later_shows_and_heals;
    publishing::a_wrong_password_is_told_to_who_publishes;
    publishing::a_certificate_that_is_not_good_is_told_to_who_publishes;
    publishing::no_tls_where_it_is_wanted_is_told_to_who_publishes;
    publishing::a_missing_topic_is_told_to_who_publishes;
    several::a_broker_that_cannot_be_trusted_beside_one_that_can_does_not_fail_the_start;
    several::a_refusal_tells_more_than_a_broker_that_is_away;
    several::a_connection_that_ends_in_the_handshake_fails_no_start;
    several::brokers_that_all_refuse_fail_the_start_at_once;
    silence::a_login_logs_no_password;
    silence::a_key_of_ours_is_in_no_log;
    silence::a_token_that_cannot_be_one_is_named_and_not_shown;
    silence::a_token_in_the_words_of_a_provider_is_not_shown;
    withdrawn::a_group_that_is_taken_away_shows_and_its_return_heals;
    withdrawn::a_right_to_read_that_is_taken_away_shows_and_its_return_heals;
}

fn main() -> ExitCode {
    silence::listen();
    let place = place::place();
    let absent = place.unavailable();
    let required = std::env::var("GULO_REQUIRE").unwrap_or_default();
    let required = required.split(',').any(|name| name.trim() == "kafka");
    let kind = absent.clone().unwrap_or_else(|| place.title());
    let trial = |(name, body): &(&str, Body)| {
        let (body, absent) = (*body, absent.clone());
        let ignored = absent.is_some() && !required;
        let case = move || match absent {
            Some(why) => Err(format!("GULO_REQUIRE names kafka: {why}").into()),
            None => {
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
                runtime.block_on(body());
                runtime.shutdown_background();
                Ok(())
            }
        };
        Trial::test(*name, case).with_kind(kind.clone()).with_ignored_flag(ignored)
    };
    libtest_mimic::run(&Arguments::from_args(), CASES.iter().map(trial).collect()).exit_code()
}
