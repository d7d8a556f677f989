//! Kafka, beside the one that `scripts/brokers` starts without an engine.

use std::collections::{BTreeMap, BTreeSet};

use crate::file::{Service, compose, plain, read};

/// Properties that say where a broker is, which is another place in a container.
const PLACES: [&str; 6] = [
    "advertised.listeners",
    "controller.quorum.voters",
    "inter.broker.listener.name",
    "listener.security.protocol.map",
    "listeners",
    "log.dirs",
];
/// Variables that the image of Kafka takes for itself.
const OF_THE_IMAGE: [&str; 2] = ["CLUSTER_ID", "KAFKA_HEAP_OPTS"];

fn kafka() -> Service {
    compose().services.remove("kafka").expect("the service kafka")
}

/// The value of a variable of `scripts/lib/kafka.sh`.
fn script(name: &str) -> String {
    let text = read("scripts/lib/kafka.sh");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).expect("the variable");
    line.split(" #").next().expect("a value").to_owned()
}

/// What `scripts/lib/kafka.sh` writes into `server.properties`.
fn properties_of_the_script() -> BTreeMap<String, String> {
    let text = read("scripts/lib/kafka.sh");
    let (_, rest) = text.split_once("<<PROPERTIES\n").expect("the properties");
    let (properties, _) = rest.split_once("\nPROPERTIES\n").expect("their end");
    let lines = properties.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once('=').expect("a property")).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// What the image makes of its variables: `_` is a dot. (`__` would be `_`, and `___` a dash: no property has one.)
fn properties_of_compose() -> BTreeMap<String, String> {
    let variables = kafka().environment.into_iter().filter(|(name, _)| !OF_THE_IMAGE.contains(&name.as_str()));
    let property = |name: &str| name.strip_prefix("KAFKA_").expect("KAFKA_..").to_lowercase().replace('_', ".");
    variables.map(|(name, value)| (property(&name), plain(&value))).collect()
}

/// `NAME://host:port,..` as name, host and port.
pub(crate) fn listeners(variable: &str) -> BTreeMap<String, (String, String)> {
    let text = kafka().variable(variable);
    let one = |listener: &str| {
        let (name, place) = listener.split_once("://")?;
        let (host, port) = place.rsplit_once(':')?;
        Some((name.to_owned(), (host.to_owned(), port.to_owned())))
    };
    text.split(',').map(|listener| one(listener).expect("a listener")).collect()
}

#[test]
fn kafka_is_the_one_of_the_scripts() {
    let kafka = kafka();
    assert_eq!(kafka.image, format!("apache/kafka:{}", script("KAFKA_VERSION")));
    assert!(
        read("scripts/lib/kafka-jars.sh").contains(&format!("format \\\n    -t {} ", kafka.variable("CLUSTER_ID")))
    );
    let options = script("KAFKA_JVM");
    let options: Vec<&str> = options.trim_matches(['(', ')']).split(' ').collect();
    assert!(kafka.variable("KAFKA_HEAP_OPTS").split(' ').all(|option| options.contains(&option)));
}

#[test]
fn every_property_of_kafka_is_one_of_the_scripts_with_the_same_value() {
    let (ours, theirs) = (properties_of_compose(), properties_of_the_script());
    assert!(theirs.len() > 30, "the properties were found");
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, value) in ours.iter().filter(|(name, _)| !PLACES.contains(&name.as_str())) {
        assert_eq!(value, &theirs[name], "{name}");
    }
}

#[test]
fn one_node_replicates_nothing_and_makes_no_topic_unasked() {
    let properties = properties_of_compose();
    let replicas = |name: &&String| name.ends_with(".replication.factor") || name.ends_with(".min.isr");
    let names: Vec<&String> = properties.keys().filter(replicas).collect();
    for topic in [
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
        "transaction.state.log.min.isr",
    ] {
        assert!(names.iter().any(|name| *name == topic), "{topic} is said, for 3 is the default");
    }
    assert!(names.iter().all(|name| properties[*name] == "1"));
    assert_eq!(properties["auto.create.topics.enable"], "false");
}

#[test]
fn kafka_is_where_programs_look_for_it() {
    let advertised = listeners("KAFKA_ADVERTISED_LISTENERS");
    let listening = listeners("KAFKA_LISTENERS");
    let address = |name: &str| format!("{}:{}", advertised[name].0, advertised[name].1);
    assert_eq!(address("DIRECT"), script("KAFKA_ADDRESS"));
    assert_eq!(address("FAULTY"), script("KAFKA_FAULTY_ADVERTISED"));
    let published: Vec<String> = kafka().published().map(|(address, port, _)| format!("{address}:{port}")).collect();
    assert!(
        published.contains(&script("KAFKA_ADDRESS")) && published.contains(&script("KAFKA_FAULTY_UPSTREAM")),
        "{published:?}"
    );
    let (_, port) = &listening["DIRECT"];
    assert!(read("docs/kafka.md").contains(&format!("| `KAFKA_BOOTSTRAP_SERVERS` | text | `localhost:{port}` |")));
    assert!(read("transport-kafka/src/config.rs").contains(&format!("servers: \"localhost:{port}\".into()")));
    for page in ["README.md", "docs/compose.md"] {
        assert!(read(page).contains(&format!("`localhost:{port}`")), "{page}");
    }
    assert!(read("docs/compose.md").contains(&format!("`{}`", address("INTERNAL"))));
}

#[test]
pub(crate) fn listeners_of_kafka_agree_with_each_other_and_with_the_ports() {
    let (listening, advertised) = (listeners("KAFKA_LISTENERS"), listeners("KAFKA_ADVERTISED_LISTENERS"));
    let kafka = kafka();
    let names: BTreeSet<&str> = listening.keys().map(String::as_str).collect();
    let protocols = kafka.variable("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP");
    assert_eq!(protocols.split(',').filter_map(|one| one.strip_suffix(":PLAINTEXT")).collect::<BTreeSet<_>>(), names);
    assert_eq!(listening.values().map(|(_, port)| port).collect::<BTreeSet<_>>().len(), listening.len(), "a port each");
    assert!(listening.values().all(|(host, _)| host.is_empty()), "a container is reached on all of its addresses");
    let clients: BTreeSet<&str> = names.iter().copied().filter(|name| *name != "CONTROLLER").collect();
    assert_eq!(advertised.keys().map(String::as_str).collect::<BTreeSet<_>>(), clients);
    assert_eq!(kafka.variable("KAFKA_INTER_BROKER_LISTENER_NAME"), "INTERNAL");
    assert_eq!(advertised["INTERNAL"], ("kafka".to_owned(), listening["INTERNAL"].1.clone()));
    // What the host sees is what clients are told, or else they go elsewhere after their first question.
    assert_eq!(advertised["DIRECT"].1, listening["DIRECT"].1);
    let inside: BTreeSet<&str> = kafka.published().map(|(_, _, inside)| inside).collect();
    assert_eq!(inside, BTreeSet::from([listening["DIRECT"].1.as_str(), listening["FAULTY"].1.as_str()]));
    assert!(kafka.published().all(|(_, outside, inside)| outside == inside));
    let asked = &kafka.healthcheck.as_ref().expect("a health check").test[3];
    assert!(asked.ends_with(&format!("/127.0.0.1/{}", listening["INTERNAL"].1)), "{asked}");
}

#[test]
fn kafka_is_its_own_controller() {
    let kafka = kafka();
    assert_eq!(kafka.variable("KAFKA_PROCESS_ROLES"), "broker,controller");
    let controller = kafka.variable("KAFKA_CONTROLLER_LISTENER_NAMES");
    let port = &listeners("KAFKA_LISTENERS")[&controller].1;
    let voter = format!("{}@kafka:{port}", kafka.variable("KAFKA_NODE_ID"));
    assert_eq!(kafka.variable("KAFKA_CONTROLLER_QUORUM_VOTERS"), voter);
}

#[test]
fn there_is_no_zookeeper_and_the_file_says_why() {
    let text = read("docker-compose.yml").to_lowercase();
    let (comments, rest): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.trim_start().starts_with('#'));
    assert!(comments.iter().any(|line| line.contains("there is no zookeeper: kafka 4")));
    assert!(!rest.iter().any(|line| line.contains("zookeeper")));
}
