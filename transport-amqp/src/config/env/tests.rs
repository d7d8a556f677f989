//! The environment, as applications, compose files and Kubernetes leave it.

use gulo_bus_core::ErrorKind;

use crate::{AmqpConfig, QueueArgument};

const URL: (&str, &str) = ("AMQP_URL", "amqp://me:hunter2@h:7/v");

fn config(variables: &[(&str, &str)]) -> AmqpConfig {
    AmqpConfig::new(URL.1).with_variables(variables.iter().copied()).unwrap()
}

fn error(variables: &[(&str, &str)]) -> String {
    let error = AmqpConfig::unnamed().with_variables(variables.iter().copied()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(!error.to_string().contains("hunter2"), "{error}");
    error.to_string()
}

#[test]
fn without_an_address_its_variable_and_its_shape_are_told() {
    let shape = "AMQP_URL (`url`) is not set: it is `amqp://user:password@host:port/vhost`";
    for variables in [&[][..], &[("AMQP_URL", " ")], &[("AMQP_SERVICE_HOST", "10.0.0.1")]] {
        assert!(error(variables).starts_with(&format!("the configuration of RabbitMQ: {shape}")));
    }
    let pieces = error(&[("AMQP_HOST", "h"), ("AMQP_PASSWORD", "hunter2")]);
    assert!(pieces.contains(shape) && pieces.ends_with("; AMQP_HOST, AMQP_PASSWORD is not read"), "{pieces}");
    assert!(error(&[("AMQP_URL", "amqp://me:hunter2@h/")]).contains("AMQP_URL (`url`) ends with `/`"));
    assert!(AmqpConfig::unnamed().with_variables([URL]).is_ok());
}

#[test]
fn what_kubernetes_makes_of_a_service_called_amqp_and_pieces_beside_an_address_are_ignored() {
    let made = [
        ("AMQP_SERVICE_HOST", "10.0.0.1"),
        ("AMQP_SERVICE_PORT", "5672"),
        ("AMQP_SERVICE_PORT_AMQP", "5672"),
        ("AMQP_PORT", "tcp://10.0.0.1:5672"),
        ("AMQP_PORT_5672_TCP", "tcp://10.0.0.1:5672"),
        ("AMQP_PORT_5672_TCP_ADDR", "10.0.0.1"),
        ("AMQP_HOST", "rabbit"),
        ("AMQP_USER", "me"),
        ("AMQP_PASSWORD", "hunter2"),
        ("AMQP_VHOST", "v"),
        ("AMQP_SOMETHING_OF_SOMEBODY", "x"),
        ("RABBITMQ_DEFAULT_PASS", "x"),
        ("AMQP_CONNECTION_NAME", ""),
    ];
    assert_eq!(format!("{:?}", config(&made)), format!("{:?}", AmqpConfig::new(URL.1)));
    let named = [made.as_slice(), &[("AMQP_SERVICE_NAME", "orders")]].concat();
    assert_eq!(config(&named).service().name.as_deref(), Some("orders"));
}

/// The rule that users are told: what is said later wins, and code comes after `from_env`.
#[test]
fn code_wins_over_the_environment_and_the_environment_over_a_file() {
    let file = r#"{"url": "amqp://file", "publish_window": 1, "connection_name": "file", "max_message_bytes": 1}"#;
    let file: AmqpConfig = serde_json::from_str(file).unwrap();
    let env = [("AMQP_URL", "amqp://env"), ("AMQP_PUBLISH_WINDOW", "2"), ("AMQP_CONNECTION_NAME", "env")];
    let config = file.with_variables(env).unwrap().connection_name("code");
    assert_eq!((config.address().as_str(), config.publish_window), ("env:5672", 2));
    assert_eq!((&*config.connection_name, config.max_message_bytes), ("code", 1));
    let config = config.with_variables([("AMQP_CONNECTION_NAME", "again")]).unwrap();
    assert_eq!(&*config.connection_name, "again", "later wins, whatever it is");
}

#[test]
fn a_variable_wins_over_what_stands_behind_the_address_of_the_same_environment() {
    for order in [[0, 1], [1, 0]] {
        let both = [("AMQP_HEARTBEAT_SECONDS", "3"), ("AMQP_URL", "amqp://h?heartbeat=9")];
        assert_eq!(config(&order.map(|at: usize| both[at])).heartbeat.as_secs(), 3);
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_without_a_value() {
    let text = error(&[
        ("AMQP_URL", "amqp://me:hunter2@h:0"),
        ("AMQP_PUBLISH_WINDOW", "hunter2"),
        ("AMQP_QUEUE_TYPE", "hunter2"),
        ("AMQP_HEARTBEAT_SECONDS", "0"),
        ("AMQP_HEARTBEAT", "7"),
        ("AMQP_SSL_CA_FILE", "hunter2"),
        ("AMQP_QUEUE_ARGUMENTS", "hunter2"),
        ("AMQP_url", "hunter2"),
    ]);
    for part in [
        "settings of RabbitMQ are wrong",
        "AMQP_URL (`url`) has a port that is no number",
        "AMQP_PUBLISH_WINDOW (`publish_window`) must be a whole number from 1",
        "AMQP_QUEUE_TYPE (`queue_type`) must be one of quorum, classic",
        "AMQP_HEARTBEAT_SECONDS (`heartbeat`) must be a whole number from 1 to 65535",
        "AMQP_SSL_CA_FILE is unknown; is AMQP_SSL_CAFILE meant?",
        "AMQP_HEARTBEAT is unknown; is AMQP_HEARTBEAT_SECONDS meant?",
        "AMQP_QUEUE_ARGUMENTS (`queue_argument`) must be `name=value`",
        "AMQP_url is unknown; is AMQP_URL meant?",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn arguments_of_queues_are_what_they_look_like() {
    let config = config(&[("AMQP_QUEUE_ARGUMENTS", "x-max-length=5, x-overflow=reject-publish,x-flag=true")]);
    let arguments: Vec<_> = config.queue_arguments.iter().map(|(name, value)| (&**name, value.clone())).collect();
    let (flag, number) = (QueueArgument::Flag(true), QueueArgument::Integer(5));
    assert_eq!(arguments, [("x-flag", flag), ("x-max-length", number), ("x-overflow", "reject-publish".into())]);
    assert!(config.check().is_ok());
}

#[test]
fn two_names_of_the_group_may_not_say_different_groups() {
    let of = |one, other| {
        AmqpConfig::new(URL.1).with_variables([("AMQP_CONSUMER_GROUP", one), ("AMQP_CONSUMER_GROUP_ID", other)])
    };
    let text = "the configuration of RabbitMQ: AMQP_CONSUMER_GROUP and AMQP_CONSUMER_GROUP_ID are two names of one setting, and say \
                different groups";
    assert_eq!(of("email", "crm").unwrap_err().to_string(), text);
    assert_eq!(of("email", "email").unwrap().service().group.as_deref(), Some("email"));
}

#[cfg(unix)]
#[test]
fn what_is_not_text_is_named() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    let variable = ("AMQP_CONNECTION_NAME", OsString::from_vec(vec![0xff]));
    let error = AmqpConfig::new(URL.1).with_variables([variable]).unwrap_err();
    assert!(error.to_string().contains("AMQP_CONNECTION_NAME is not text"), "{error}");
}
