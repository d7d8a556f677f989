//! Files.

use crate::{AmqpConfig, QueueArgument};

fn read(text: &str) -> Result<AmqpConfig, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn a_file_says_all_that_the_environment_says() {
    let config = read(
        r#"{
            "heartbeat_seconds": 9,
            "url": "amqp://me:hunter2@h/v?heartbeat=7",
            "single_active_consumer": false,
            "queue_arguments": {"x-quorum-initial-group-size": 5, "x-overflow": "reject-publish", "x-flag": true}
        }"#,
    );
    let config = config.unwrap();
    assert!(config.check().is_ok());
    assert_eq!((config.heartbeat.as_secs(), config.single_active_consumer), (9, false));
    assert_eq!(config.queue_arguments.get("x-quorum-initial-group-size"), Some(&QueueArgument::Integer(5)));
    assert_eq!(config.queue_arguments.get("x-flag"), Some(&QueueArgument::Flag(true)));
    let text = read(r#"{"url": "amqp://h", "queue_arguments": "a=5,b=c"}"#).unwrap();
    assert_eq!(text.queue_arguments.len(), 2, "a table as text is good too");
}

#[test]
fn a_file_without_an_address_leaves_it_to_the_environment() {
    let file = || read(r#"{"publish_window": 7}"#).unwrap();
    let text = file().check().unwrap_err().to_string();
    assert!(text.contains("AMQP_URL (`url`) is not set"), "{text}");
    let both = file().with_variables([("AMQP_URL", "amqp://h")]).unwrap();
    assert!(both.check().is_ok() && both.publish_window == 7);
}

#[test]
fn a_mistake_is_told_with_what_is_meant_and_never_with_a_value() {
    for (text, says) in [
        (
            r#"{"publish_windows": "hunter2"}"#,
            "`publish_windows` of the file is no setting; is `publish_window` meant?",
        ),
        (r#"{"heartbeat": 5}"#, "`heartbeat` of the file is no setting; is `heartbeat_seconds` meant?"),
        (r#"{"URL": "hunter2"}"#, "is `url` meant?"),
        (r#"{"quux": "hunter2"}"#, "`quux` of the file is no setting"),
        (r#"{"url": "hunter2"}"#, "AMQP_URL (`url`) begins with no `amqp://`"),
        (r#"{"url": {"host": "hunter2"}}"#, "`url` of the file is no table"),
        (r#"{"queue_type": "hunter2"}"#, "`queue_type` of the file must be one of quorum, classic"),
        (r#"{"ssl_key_pem": ["hunter2"]}"#, "expected text"),
        (r#"{"ssl_key_pem": null}"#, "expected text"),
        (r#"{"queue_arguments": {"a": 1.5}}"#, "expected text"),
        (r#"["hunter2"]"#, "expected settings of RabbitMQ"),
    ] {
        let checked = read(text).and_then(|config| config.check().map_err(|error| error.to_string()));
        let error = checked.unwrap_err();
        assert!(error.contains(says) && !error.contains("hunter2"), "{text}: {error}");
    }
}

#[test]
fn two_names_of_the_group_may_not_say_different_groups_in_a_file_either() {
    let of = |one, other| {
        read(&format!(r#"{{"url": "amqp://h", "consumer_group": "{one}", "consumer_group_id": "{other}"}}"#)).unwrap()
    };
    let error = of("email", "crm").check().unwrap_err().to_string();
    assert!(
        error.contains("`consumer_group` of the file and `consumer_group_id` of the file are two names"),
        "{error}"
    );
    let same = of("email", "email");
    assert!(same.check().is_ok());
    assert_eq!(same.service().group.as_deref(), Some("email"));
}
