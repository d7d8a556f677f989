//! What is not used as it is meant, called as it was said: by a variable, a key of a file, a method, a property.

use std::time::{Duration, SystemTime};

use crate::{KafkaConfig, OauthToken, SaslMechanism, SecurityProtocol};

fn env(variables: &[(&str, &str)]) -> KafkaConfig {
    KafkaConfig::default().with_variables(variables.iter().copied()).unwrap()
}

fn file(text: &str) -> KafkaConfig {
    serde_json::from_str(text).unwrap()
}

fn told(config: &KafkaConfig) -> String {
    let text = config.check().unwrap_err().to_string();
    assert!(!text.contains("hunter2"), "{text}");
    text.replacen("the configuration of Kafka: ", "", 1)
}

fn with_tokens(config: KafkaConfig) -> KafkaConfig {
    let ends = SystemTime::now() + Duration::from_secs(60);
    config.token_provider(move || async move { Ok::<_, String>(OauthToken::new("hunter2", "svc", ends)) })
}

#[test]
fn a_login_without_a_mechanism_is_told_by_who_said_the_protocol() {
    let all = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER";
    for (config, protocol, mechanism) in [
        (
            env(&[("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")]),
            "KAFKA_SECURITY_PROTOCOL (`security.protocol`)",
            "KAFKA_SASL_MECHANISM (`sasl.mechanism`)",
        ),
        (
            file(r#"{"security_protocol": "SASL_SSL"}"#),
            "`security_protocol` of the file (`security.protocol`)",
            "`sasl_mechanism` of the file (`sasl.mechanism`)",
        ),
        (
            KafkaConfig::new("b").security_protocol(SecurityProtocol::SaslSsl),
            "`KafkaConfig::security_protocol` (`security.protocol`)",
            "`KafkaConfig::sasl` (`sasl.mechanism`)",
        ),
        (
            KafkaConfig::new("b").property("security.protocol", "sasl_ssl"),
            "the property `security.protocol`",
            "the property `sasl.mechanism`",
        ),
    ] {
        let text = format!("{protocol} wants a login, and by what is not said: set {mechanism} to one of {all}");
        assert_eq!(told(&config), text);
    }
}

#[test]
fn what_a_mechanism_needs_is_told_by_who_said_the_mechanism() {
    let with = |more: &[(&str, &str)]| {
        let login = [("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"), ("KAFKA_SASL_MECHANISM", "PLAIN")];
        env(&[&login[..], more].concat())
    };
    let secure = || KafkaConfig::new("b").security_protocol(SecurityProtocol::SaslSsl);
    for (config, text) in [
        (
            with(&[("KAFKA_SASL_USERNAME", "me")]),
            "KAFKA_SASL_MECHANISM (`sasl.mechanism`) needs KAFKA_SASL_PASSWORD (`sasl.password`)",
        ),
        (
            with(&[("KAFKA_SASL_PASSWORD", "hunter2")]),
            "KAFKA_SASL_MECHANISM (`sasl.mechanism`) needs KAFKA_SASL_USERNAME (`sasl.username`)",
        ),
        (
            file(r#"{"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "me"}"#),
            "`sasl_mechanism` of the file (`sasl.mechanism`) needs `sasl_password` of the file (`sasl.password`)",
        ),
        (
            secure().sasl_mechanism(SaslMechanism::ScramSha256).property("sasl.username", "me"),
            "`KafkaConfig::sasl_mechanism` (`sasl.mechanism`) needs `KafkaConfig::sasl` (`sasl.password`)",
        ),
        (
            secure().sasl(SaslMechanism::Plain, "me", ""),
            "`KafkaConfig::sasl` (`sasl.mechanism`) needs `KafkaConfig::sasl` (`sasl.password`), which is empty",
        ),
        (
            env(&[("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"), ("KAFKA_SASL_MECHANISM", "OAUTHBEARER")]),
            "KAFKA_SASL_MECHANISM (`sasl.mechanism`): OAUTHBEARER needs KafkaConfig::token_provider; tests may set \
             KAFKA_ENABLE_SASL_OAUTHBEARER_UNSECURE_JWT (`enable.sasl.oauthbearer.unsecure.jwt`)",
        ),
        (
            file(r#"{"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}"#),
            "`sasl_mechanism` of the file (`sasl.mechanism`): OAUTHBEARER needs KafkaConfig::token_provider; tests may set \
             `properties.enable.sasl.oauthbearer.unsecure.jwt` of the file (`enable.sasl.oauthbearer.unsecure.jwt`)",
        ),
    ] {
        assert_eq!(told(&config), text);
    }
}

#[test]
fn what_would_not_be_used_is_told_by_who_said_it_with_the_protocol_as_it_was_said() {
    for (config, text) in [
        (
            env(&[("KAFKA_SASL_MECHANISM", "PLAIN"), ("KAFKA_SASL_PASSWORD", "hunter2")]),
            "KAFKA_SASL_MECHANISM (`sasl.mechanism`) would not be used: set KAFKA_SECURITY_PROTOCOL (`security.protocol`) to \
             SASL_SSL (or SASL_PLAINTEXT)",
        ),
        (
            file(r#"{"security_protocol": "PLAINTEXT"}"#).sasl(SaslMechanism::Plain, "me", "hunter2"),
            "`KafkaConfig::sasl` (`sasl.mechanism`) would not be used: set `security_protocol` of the file \
             (`security.protocol`) to SASL_SSL (or SASL_PLAINTEXT)",
        ),
        (
            with_tokens(KafkaConfig::new("b")),
            "`KafkaConfig::token_provider` (`sasl.mechanism`) would not be used: set `KafkaConfig::security_protocol` \
             (`security.protocol`) to SASL_SSL (or SASL_PLAINTEXT)",
        ),
        (
            env(&[("KAFKA_SSL_CAFILE", "/")]),
            "KAFKA_SSL_CAFILE (`ssl.ca.location`) would not be used: set KAFKA_SECURITY_PROTOCOL (`security.protocol`) to \
             SSL or SASL_SSL",
        ),
        (
            env(&[("KAFKA_SECURITY_PROTOCOL", "SSL"), ("KAFKA_SSL_KEYFILE", "/nowhere.key")]),
            "2 settings of Kafka are wrong: KAFKA_SSL_KEYFILE (`ssl.key.location`): there is no file /nowhere.key; \
             KAFKA_SSL_KEYFILE (`ssl.key.location`) needs KAFKA_SSL_CERTFILE (`ssl.certificate.location`)",
        ),
    ] {
        assert_eq!(told(&config), text);
    }
}

#[test]
fn a_token_provider_beside_another_mechanism_is_an_error_that_names_both() {
    let secure = || KafkaConfig::new("b").security_protocol(SecurityProtocol::SaslSsl);
    let login =
        [("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"), ("KAFKA_SASL_USERNAME", "me"), ("KAFKA_SASL_PASSWORD", "hunter2")];
    let both = |called: &str, says: &str| {
        format!(
            "KafkaConfig::token_provider logs in with OAUTHBEARER, and {called} says {says}: only one of them can be"
        )
    };
    let by_env = both("KAFKA_SASL_MECHANISM (`sasl.mechanism`)", "SCRAM-SHA-512");
    assert_eq!(told(&with_tokens(secure().with_variables(login).unwrap())), by_env, "said before");
    assert_eq!(told(&with_tokens(secure()).with_variables(login).unwrap()), by_env, "said after");
    let by_method = with_tokens(secure().sasl(SaslMechanism::Plain, "me", "hunter2"));
    assert_eq!(told(&by_method), both("`KafkaConfig::sasl` (`sasl.mechanism`)", "PLAIN"));
    let nonsense = told(&with_tokens(secure().property("sasl.mechanism", "hunter2")));
    assert_eq!(nonsense, both("the property `sasl.mechanism`", "another mechanism"));
    let same = with_tokens(secure().sasl_mechanism(SaslMechanism::OauthBearer));
    assert!(same.check().is_ok() && with_tokens(with_tokens(secure())).check().is_ok());
    assert_eq!(with_tokens(secure()).admin().get("sasl.mechanism"), Some("OAUTHBEARER"));
}
