//! The table, against the configuration, files and the guide.

use std::collections::BTreeMap;

use super::*;

const URL: &str = "amqps://h";

/// What the table calls the default is what a configuration has, and is a value of its kind.
#[test]
fn every_default_is_what_a_configuration_has() {
    let config = AmqpConfig::new(URL);
    for key in KEYS.iter().filter(|key| key.name != "URL") {
        assert_eq!((key.shown)(&config), key.default, "{}", key.name);
        if !key.default.is_empty() {
            assert_eq!(key.kind.read(key.default).as_deref(), Ok(key.default), "{}", key.name);
            let mut said = config.clone();
            key.set(&mut said, key.default).unwrap();
            assert_eq!(
                format!("{said:?} {:?}", said.service()),
                format!("{config:?} {:?}", config.service()),
                "{}",
                key.name
            );
        }
    }
}

/// A value for each that is not its default.
fn other(key: &Key) -> &'static str {
    match (key.name, key.kind) {
        ("URL", _) => "amqps://other:7/v",
        (_, Kind::Text | Kind::Secret) => "xyzzy-1",
        (_, Kind::Path) => "/etc/some.pem",
        (_, Kind::Flag) if key.default == "true" => "false",
        (_, Kind::Flag) => "true",
        (_, Kind::Number(..)) => "1234",
        (_, Kind::Pairs) => "x-some=1",
        (_, Kind::OneOf(values)) => values[values.len() - 1],
    }
}

/// The environment and a file say the same by the same table, it arrives where it belongs, and nothing else changes.
#[test]
fn every_setting_arrives_from_the_environment_and_from_a_file() {
    for key in KEYS {
        let value = other(key);
        let of_env = AmqpConfig::new(URL).with_variables([(format!("AMQP_{}", key.name), value)]).unwrap();
        let mut file = BTreeMap::from([("url".to_owned(), URL)]);
        file.insert(key.file_name(), value);
        let of_file: AmqpConfig = serde_json::from_value(serde_json::to_value(file).unwrap()).unwrap();
        let shown = if key.kind == Kind::Secret { "***" } else { value };
        assert_eq!((key.shown)(&of_env), shown, "{}", key.name);
        assert_eq!(format!("{of_env:?}"), format!("{of_file:?}"), "{}", key.name);
        assert_eq!(of_env.service(), of_file.service(), "{}", key.name);
        let plain = AmqpConfig::new(URL);
        let changed = KEYS.iter().filter(|key| (key.shown)(&of_env) != (key.shown)(&plain)).map(|key| key.name);
        let expected = if key.name.starts_with("CONSUMER_GROUP") {
            vec!["CONSUMER_GROUP_ID", "CONSUMER_GROUP"]
        } else {
            vec![key.name]
        };
        assert_eq!(changed.collect::<Vec<_>>(), expected);
    }
}

/// What a service says has the same names for every broker: only the prefix is another one.
#[test]
fn a_service_is_configured_by_the_names_that_it_has_for_other_brokers() {
    let names = [
        "SERVICE_NAME",
        "CONSUMER_GROUP_ID",
        "CONSUMER_GROUP",
        "DEFAULT_TOPIC_PREFIX",
        "MAX_RETRY_ATTEMPTS",
        "ENABLE_DLQ",
        "DLQ_TOPIC_SUFFIX",
        "SSL_CAFILE",
        "SSL_CERTFILE",
        "SSL_KEYFILE",
        "CONNECT_TIMEOUT_MS",
    ];
    let theirs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/kafka.md")).unwrap();
    for name in names {
        assert!(find(name).is_some() && theirs.contains(&format!("| `KAFKA_{name}` |")), "{name}");
    }
    assert_eq!(AmqpConfig::new(URL).service().variables, Some("AMQP_"));
}

/// As the guide shows it.
fn table() -> String {
    let mut rows = String::from("| variable | takes | default | in code | |\n|---|---|---|---|---|\n");
    for key in KEYS {
        let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
        let (name, takes, default, method) = (key.name, key.kind.shown(), code(key.default), code(key.method));
        rows += &format!("| `AMQP_{name}` | {takes} | {default} | {method} | {} |\n", key.note);
    }
    rows
}

/// The guide's table is made of the one that is used. `GULO_WRITE_DOCS=1` writes it.
#[test]
fn the_guide_shows_this_very_table() {
    let (path, table) = (concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/amqp.md"), table());
    let guide = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- settings -->\n", "<!-- /settings -->");
    let (before, rest) = guide.split_once(begin).expect("the beginning of the table");
    let (shown, after) = rest.split_once(end).expect("the end of the table");
    if shown != table && std::env::var_os("GULO_WRITE_DOCS").is_some() {
        std::fs::write(path, format!("{before}{begin}{table}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(shown, table, "run this test with GULO_WRITE_DOCS=1");
}
