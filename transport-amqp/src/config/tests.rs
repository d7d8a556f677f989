//! Settings in code.

use super::*;

const SECRET: &str = "amqps://me:hunter2@h/v";

#[test]
fn debug_shows_what_was_said_and_no_secret() {
    let config = AmqpConfig::new(SECRET)
        .ssl_ca_pem("-----BEGIN hunter2")
        .ssl_certificate_pem("-----BEGIN hunter2", "-----BEGIN hunter2")
        .ssl_pkcs12("/a.p12", "hunter2");
    for text in [format!("{config:?} {config:#?}"), format!("{:?}", crate::AmqpTransport::new(config.clone()))] {
        assert!(!text.contains("hunter2") && !text.contains("me@") && !text.contains(" \"me"), "{text}");
        for part in [
            r#"url: "amqps://h:5671/v""#,
            r#"ssl_pkcs12file: "/a.p12""#,
            r#"ssl_key_pem: "***""#,
            r#"publish_window: "1000""#,
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    let error = config.check().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

#[test]
fn an_address_that_cannot_be_used_is_told_by_variable_and_method_without_the_login() {
    let config = AmqpConfig::new("amqp://me:hunter2@h:99999/v");
    let error = config.check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().starts_with("the configuration of RabbitMQ: AMQP_URL (`url`) has a port that is no number"),
        "{error}"
    );
    assert!(!format!("{config:?} {error:?} {:?}", config.uri()).contains("hunter2"));
}

#[test]
fn what_is_said_later_wins_in_code_and_in_the_address_too() {
    let config = AmqpConfig::new("amqp://h?heartbeat=7&connection_timeout=900&auth_mechanism=external");
    assert_eq!((config.heartbeat, config.connect_timeout), (Duration::from_secs(7), Duration::from_millis(900)));
    assert!(config.is_external());
    let config = config.heartbeat(Duration::from_secs(3));
    assert_eq!(config.uri().unwrap().query.heartbeat, Some(3));
    let config = config.url("amqp://other?heartbeat=9");
    assert_eq!((config.address(), config.uri().unwrap().query.heartbeat), ("other:5672".into(), Some(9)));
    assert_eq!(config.url("amqp://[::1]:7").address(), "[::1]:7");
}

/// Waiting for that long must not make the clock overflow.
#[test]
fn times_without_an_end_are_as_long_as_a_clock_can_count() {
    let config = AmqpConfig::new("amqp://h").publish_timeout(Duration::MAX).connect_timeout(Duration::MAX);
    for time in [config.publish_timeout, config.connect_timeout] {
        assert!(std::time::Instant::now().checked_add(time).is_some() && time > Duration::from_secs(24 * 24 * 3600));
    }
    assert!(config.check().is_ok());
}

#[test]
fn a_queue_argument_has_the_type_that_it_was_given() {
    let config = AmqpConfig::new("amqp://h").queue_argument("a", 5).queue_argument("b", "5").queue_argument("c", true);
    let values: Vec<_> = config.queue_arguments.values().cloned().collect();
    let expected = [QueueArgument::Integer(5), QueueArgument::Text("5".into()), QueueArgument::Flag(true)];
    assert_eq!(values, expected);
    assert!(config.check().is_ok());
}
