//! Files.

use crate::KafkaConfig;

fn read(text: &str) -> Result<KafkaConfig, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn properties_stand_in_tables_for_the_clients_they_are_for() {
    let config = read(
        r#"{
            "bootstrap_servers": "b:1",
            "properties": {"socket.keepalive.enable": false, "client.rack": "all"},
            "producer_properties": {"client.rack": "p", "linger.ms": 3},
            "consumer_properties": {"fetch.min.bytes": 7}
        }"#,
    );
    let config = config.unwrap();
    assert!(config.check().is_ok());
    let (producer, consumer) = (config.producer(), config.consumer("g"));
    assert_eq!((producer.get("client.rack"), consumer.get("client.rack")), (Some("p"), Some("all")));
    assert_eq!((producer.get("linger.ms"), consumer.get("fetch.min.bytes")), (Some("3"), Some("7")));
    assert_eq!(producer.get("socket.keepalive.enable"), Some("false"));
}

#[test]
fn a_mistake_is_told_with_what_is_meant_and_never_with_a_value() {
    for (text, says) in [
        (r#"{"producer_lingerms": "hunter2"}"#, "is `producer_linger_ms` meant?"),
        (r#"{"linger.ms": "hunter2"}"#, "stands in the table `properties`"),
        (r#"{"producer_property": "hunter2"}"#, "is `producer_properties` meant?"),
        (r#"{"BOOTSTRAP_SERVERS": "hunter2"}"#, "is `bootstrap_servers` meant?"),
        (r#"{"quux": "hunter2"}"#, "`quux` of the file is no setting"),
        (r#"{"sasl_mechanism": "hunter2"}"#, "`sasl_mechanism` of the file must be one of PLAIN"),
        (r#"{"sasl_password": ["hunter2"]}"#, "expected text"),
        (r#"{"sasl_password": null}"#, "expected text"),
        (r#"["hunter2"]"#, "expected settings of Kafka"),
    ] {
        let checked = read(text).and_then(|config| config.check().map_err(|error| error.to_string()));
        let error = checked.unwrap_err();
        assert!(error.contains(says) && !error.contains("hunter2"), "{text}: {error}");
    }
}

#[test]
fn a_wrong_property_is_told_at_the_first_use_with_its_place_in_the_file() {
    let config = read(r#"{"producer_properties": {"linger.mss": 1, "acks": 1}}"#).unwrap();
    let error = config.check().unwrap_err().to_string();
    assert!(error.contains("`producer_properties.linger.mss`") && error.contains("is `linger.ms` meant?"), "{error}");
    assert!(error.contains("`producer_properties.acks`") && error.contains("must be all"), "{error}");
}

#[test]
fn two_names_of_the_group_may_not_say_different_groups_in_a_file_either() {
    let of = |one, other| read(&format!(r#"{{"consumer_group": "{one}", "consumer_group_id": "{other}"}}"#)).unwrap();
    let error = of("email", "crm").check().unwrap_err().to_string();
    let text = "the configuration of Kafka: `consumer_group` of the file and `consumer_group_id` of the file are two names of one \
                setting, and say different groups";
    assert_eq!(error, text);
    let same = of("email", "email");
    assert!(same.check().is_ok());
    assert_eq!(same.service().group.as_deref(), Some("email"));
}
