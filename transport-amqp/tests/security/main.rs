//! Logins, rights and certificates on a real secured broker: `scripts/brokers up amqp-secure`. Without it these cases are shown
//! as ignored, with the reason, and fail where `GULO_REQUIRE` names `amqp`.

#![allow(clippy::unwrap_used)]

mod place;
mod refusals;
mod rights;
mod silence;
mod ways;

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
    ways::a_password_without_tls;
    ways::tls_with_a_ca_of_ours_from_a_file;
    ways::tls_with_a_ca_of_ours_as_text;
    ways::tls_to_a_name_instead_of_a_number;
    ways::tls_with_a_ca_that_the_system_trusts;
    ways::a_certificate_of_ours_from_files;
    ways::a_certificate_of_ours_as_text;
    ways::a_certificate_of_ours_out_of_pkcs12;
    ways::external_without_a_password;
    ways::external_by_the_address;
    ways::another_vhost;
    ways::what_a_deployment_sets_in_its_environment;
    ways::arguments_of_queues_arrive;
    ways::a_heartbeat_of_the_address_is_agreed_on;
    ways::files_are_read_anew_for_each_connection;
    refusals::a_wrong_password;
    refusals::a_user_that_is_not_there;
    refusals::a_vhost_that_is_not_there;
    refusals::a_vhost_that_is_not_for_us;
    refusals::a_ca_that_is_not_ours;
    refusals::a_ca_that_is_not_the_one_that_was_named;
    refusals::the_system_does_not_know_the_ca;
    refusals::a_certificate_that_has_expired;
    refusals::a_certificate_of_another_host;
    refusals::no_certificate_of_ours_where_one_is_wanted;
    refusals::a_certificate_of_ours_that_the_broker_does_not_trust;
    refusals::a_certificate_of_nobody;
    refusals::a_way_to_log_in_that_the_broker_has_not;
    refusals::a_key_with_a_password;
    refusals::a_key_of_another_certificate;
    refusals::a_broker_that_is_not_there;
    refusals::a_host_that_is_not_there;
    refusals::no_tls_where_it_is_wanted;
    refusals::tls_where_there_is_none;
    refusals::a_port_of_another_protocol;
    refusals::a_port_where_nothing_is_said;
    rights::an_exchange_that_we_may_not_make_is_named;
    rights::a_queue_that_we_may_not_make_is_named;
    rights::a_queue_that_we_may_not_read_is_named;
    rights::a_topic_that_we_may_not_write_to_is_refused_and_the_others_are_confirmed;
    rights::to_publish_takes_write_on_the_topic_alone;
    rights::to_consume_takes_read_on_the_queue_alone;
    silence::no_login_is_in_an_error_or_in_the_log;
    silence::no_key_is_in_an_error_or_in_the_log;
    silence::what_comes_back_is_not_in_the_log;
}

fn main() -> ExitCode {
    silence::listen();
    let place = place::place();
    let absent = place.unavailable();
    let required = std::env::var("GULO_REQUIRE").unwrap_or_default();
    let required = required.split(',').any(|name| name.trim() == "amqp");
    let kind = absent.clone().unwrap_or_else(|| place.title());
    let trial = |(name, body): &(&str, Body)| {
        let (body, absent) = (*body, absent.clone());
        let ignored = absent.is_some() && !required;
        let case = move || match absent {
            Some(why) => Err(format!("GULO_REQUIRE names amqp: {why}").into()),
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
