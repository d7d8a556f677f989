//! What is wrong, called by its variable and its method.

use std::time::Duration;

use super::*;

fn config() -> AmqpConfig {
    AmqpConfig::new("amqp://me:hunter2@h")
}

fn told(config: &AmqpConfig) -> String {
    let text = config.check().map_or_else(|error| error.to_string(), |()| String::new());
    assert!(!text.contains("hunter2"), "{text}");
    text.replacen("the configuration of RabbitMQ: ", "", 1)
}

#[test]
fn a_value_out_of_its_range_is_named_with_the_range() {
    for (config, text) in [
        (
            config().heartbeat(Duration::ZERO),
            "AMQP_HEARTBEAT_SECONDS (`heartbeat`) must be a whole number from 1 to 65535",
        ),
        (
            config().heartbeat(Duration::from_millis(1500)),
            "AMQP_HEARTBEAT_SECONDS (`heartbeat`) must be a whole number from 1 to 65535",
        ),
        (
            config().heartbeat(Duration::from_secs(65_536)),
            "AMQP_HEARTBEAT_SECONDS (`heartbeat`) must be a whole number from 1 to 65535",
        ),
        (config().publish_window(0), "AMQP_PUBLISH_WINDOW (`publish_window`) must be a whole number from 1 to 1000000"),
        (
            config().max_message_bytes(0),
            "AMQP_MAX_MESSAGE_BYTES (`max_message_bytes`) must be a whole number from 1 to 536870912",
        ),
        (
            config().connect_timeout(Duration::ZERO),
            "AMQP_CONNECT_TIMEOUT_MS (`connect_timeout`) must be a whole number from 1 to 2147483647",
        ),
        (
            config().publish_timeout(Duration::ZERO),
            "AMQP_PUBLISH_TIMEOUT_MS (`publish_timeout`) must be a whole number from 1 to 2147483647",
        ),
        (config().connection_name(" "), "AMQP_CONNECTION_NAME (`connection_name`) must not be empty"),
        (
            config().dead_letter_exchange(""),
            "AMQP_DEAD_LETTER_EXCHANGE (`dead_letter_exchange`) must be a name of 1 to 255 bytes",
        ),
    ] {
        assert_eq!(told(&config), text);
    }
    assert_eq!(told(&config().heartbeat(Duration::from_secs(65_535))), "");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let config = AmqpConfig::new("http://me:hunter2@h").publish_window(0).queue_argument("x-queue-type", "stream");
    let text = told(&config);
    let parts = [
        "3 settings of RabbitMQ are wrong: ",
        "AMQP_URL (`url`) is the address of a web page",
        "; AMQP_PUBLISH_WINDOW (`publish_window`) must be",
        "; AMQP_QUEUE_ARGUMENTS (`queue_argument`): `x-queue-type` is a setting of its own: AMQP_QUEUE_TYPE (`queue_type`)",
    ];
    parts.iter().for_each(|part| assert!(text.contains(part), "{part}: {text}"));
}

#[test]
fn an_argument_by_which_messages_would_be_lost_silently_is_refused() {
    let dropping = [("x-delivery-limit", 5), ("x-max-length", 5), ("x-max-length-bytes", 5), ("x-message-ttl", 5)];
    for (name, value) in dropping {
        let text = told(&config().queue_argument(name, value));
        let says = format!(
            "AMQP_QUEUE_ARGUMENTS (`queue_argument`): `{name}` makes a queue drop messages, silently: set AMQP_DEAD_LETTER_EXCHANGE"
        );
        assert!(text.starts_with(&says), "{text}");
        assert_eq!(told(&config().queue_argument(name, value).dead_letter_exchange("dlx")), "");
    }
    let full = config().queue_argument("x-max-length", 5);
    assert_eq!(told(&full.clone().queue_argument("x-overflow", "reject-publish")), "");
    assert!(told(&full.queue_argument("x-overflow", "drop-head")).contains("silently"));
    assert!(told(&config().queue_argument("x-expires", 5)).contains("deletes the queue of a group that is away"));
    assert!(told(&config().queue_argument("x".repeat(256), 5)).contains("a name of 1 to 255 bytes"));
}
