//! What must not know what: the house of `docs/architecture.md`, held by `cargo metadata` and by reading the sources.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

const TRANSPORTS: [&str; 3] = ["gulo-transport-amqp", "gulo-transport-memory", "gulo-transport-kafka"];
const CLIENTS: [&str; 4] = ["rdkafka", "lapin", "opentelemetry", "rskafka"];

#[derive(PartialEq)]
enum Features {
    Default,
    All,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn metadata(features: Features) -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml"));
    if features == Features::All {
        command.features(cargo_metadata::CargoOpt::AllFeatures);
    }
    command.other_options(["--locked".to_owned()]).exec().expect("cargo metadata")
}

/// Names of what `package` depends on directly, by kind.
fn direct(metadata: &Metadata, package: &str, kind: DependencyKind) -> BTreeSet<String> {
    let package = metadata.packages.iter().find(|p| p.name.as_str() == package).expect("the package exists");
    package.dependencies.iter().filter(|dependency| dependency.kind == kind).map(|d| d.name.clone()).collect()
}

/// Names of all that `package` is built with, as the resolver decided.
fn built_with(metadata: &Metadata, package: &str) -> BTreeSet<String> {
    let names: HashMap<&PackageId, &str> = metadata.packages.iter().map(|p| (&p.id, p.name.as_str())).collect();
    let nodes = &metadata.resolve.as_ref().expect("resolved").nodes;
    let start = nodes.iter().find(|node| names[&node.id] == package).expect("the package is resolved");
    let (mut found, mut open) = (BTreeSet::new(), vec![&start.id]);
    while let Some(id) = open.pop() {
        let node = nodes.iter().find(|node| &node.id == id).expect("every dependency has a node");
        for dependency in &node.deps {
            let normal = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if normal && found.insert(names[&dependency.pkg].to_owned()) {
                open.push(&dependency.pkg);
            }
        }
    }
    found
}

fn sources(directory: &str) -> Vec<(PathBuf, String)> {
    let (mut files, mut open) = (Vec::new(), vec![root().join(directory)]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                files.push((path, text));
            }
        }
    }
    assert!(!files.is_empty(), "{directory} has sources");
    files
}

/// The code of a file: without comments, and without its tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn core_names_no_broker_and_opens_no_socket() {
    let metadata = metadata(Features::All);
    let built_with = built_with(&metadata, "gulo-bus-core");
    for client in CLIENTS.iter().chain(&TRANSPORTS) {
        assert!(!built_with.contains(*client), "gulo-bus-core is built with {client}");
    }
    for (path, text) in sources("bus-core/src") {
        let code = code(&text).to_lowercase();
        for word in ["kafka", "rabbit", "amqp", "std::net", "tokio::net", "std::thread"] {
            assert!(!code.contains(word), "{} says `{word}`", path.display());
        }
    }
}

#[test]
fn pure_rooms_of_core_have_no_async() {
    let pure = [
        "settle.rs",
        "settle/",
        "retry.rs",
        "retry_later.rs",
        "headers.rs",
        "message.rs",
        "dead_letter.rs",
        "dispatch",
    ];
    for (path, text) in sources("bus-core/src") {
        let inside = path.strip_prefix(root().join("bus-core/src")).expect("inside").to_string_lossy().into_owned();
        if pure.iter().any(|room| inside.starts_with(room)) {
            let code = code(&text);
            for word in ["async ", ".await", "tokio::sync", "tokio::spawn", "Instant::now", "Utc::now"] {
                assert!(!code.contains(word), "{inside} is pure, and says `{word}`");
            }
        }
    }
}

#[test]
fn transports_know_neither_each_other_nor_the_facade() {
    let metadata = metadata(Features::All);
    for transport in TRANSPORTS {
        let depends_on = direct(&metadata, transport, DependencyKind::Normal);
        let ours: Vec<_> = depends_on.iter().filter(|name| name.starts_with("gulo")).collect();
        assert_eq!(ours, ["gulo-bus-core"], "{transport} depends on more of ours");
    }
}

#[test]
fn transports_see_messages_tokens_and_verdicts_only() {
    let allowed = ["error", "headers", "message", "settle", "transport", "Error", "ErrorKind", "Result"];
    for transport in ["transport-amqp/src", "transport-memory/src", "transport-kafka/src"] {
        for (path, text) in sources(transport) {
            let code = code(&text);
            for (at, word) in code.match_indices("gulo_bus_core::") {
                let room =
                    code[at + word.len()..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
                let grouped = room.is_empty();
                assert!(grouped || allowed.contains(&room), "{} uses gulo_bus_core::{room}", path.display());
            }
            for word in ["IntegrationEvent", "codec::", "handler::", "Retry"] {
                assert!(!code.contains(word), "{} says `{word}`", path.display());
            }
        }
    }
}

/// What they write names the facade; they are built before it.
#[test]
fn the_macros_know_nothing_of_ours() {
    let depends_on = direct(&metadata(Features::All), "gulo-bus-macros", DependencyKind::Normal);
    let ours: Vec<_> = depends_on.iter().filter(|name| name.starts_with("gulo")).collect();
    assert!(ours.is_empty(), "gulo-bus-macros depends on {ours:?}");
}

#[test]
fn the_conformance_suite_knows_core_only() {
    let ours: Vec<_> = direct(&metadata(Features::All), "gulo-conformance", DependencyKind::Normal)
        .into_iter()
        .filter(|name| name.starts_with("gulo"))
        .collect();
    assert_eq!(ours, ["gulo-bus-core"]);
}

/// An application is built of them; they are built of nothing but core, and of no client.
#[test]
fn what_stands_above_core_knows_core_only() {
    let metadata = metadata(Features::All);
    for package in ["gulo-application", "gulo-dead-letters"] {
        let depends_on = direct(&metadata, package, DependencyKind::Normal);
        let ours: Vec<_> = depends_on.iter().filter(|name| name.starts_with("gulo")).collect();
        assert_eq!(ours, ["gulo-bus-core"], "{package} depends on more of ours");
        let built_with = built_with(&metadata, package);
        for client in CLIENTS.iter().chain(&TRANSPORTS) {
            assert!(!built_with.contains(*client), "{package} is built with {client}");
        }
    }
}

#[test]
fn default_features_build_no_client_library() {
    let built_with = built_with(&metadata(Features::Default), "gulo");
    for client in CLIENTS.iter().chain(&["rdkafka-sys", "opentelemetry_sdk"]) {
        assert!(!built_with.contains(*client), "the default features build {client}");
    }
}

#[test]
fn client_types_stay_inside() {
    for (transport, client) in [("transport-kafka/src", "rdkafka"), ("transport-amqp/src", "lapin")] {
        for (path, text) in sources(transport) {
            let code = code(&text);
            let reexported = code.lines().find(|line| line.trim_start().starts_with(&format!("pub use {client}")));
            assert_eq!(reexported, None, "{}", path.display());
            let mut public = code.lines().filter(|line| line.trim_start().starts_with("pub fn "));
            assert_eq!(public.find(|line| line.contains(&format!("{client}::"))), None, "{}", path.display());
        }
    }
}

#[test]
fn unsafe_code_is_an_island_of_transport_kafka() {
    for directory in [
        "src",
        "application/src",
        "testing/src",
        "bus-core/src",
        "bus-macros/src",
        "dead-letters/src",
        "transport-amqp/src",
        "transport-memory/src",
        "tests/conformance/src",
        "transport-kafka/src",
    ] {
        for (path, text) in sources(directory) {
            let island = path.to_string_lossy().contains("transport-kafka/src/native");
            let code = code(&text);
            assert!(island || !code.contains("unsafe {"), "{} has unsafe code", path.display());
        }
    }
}

/// Whether a file is one thing is for people to judge; past this size it hardly ever is.
#[test]
fn files_are_small_rooms() {
    for directory in [
        "src",
        "application/src",
        "testing/src",
        "bus-core/src",
        "bus-macros/src",
        "dead-letters/src",
        "transport-amqp/src",
        "transport-memory/src",
        "transport-kafka/src",
        "tests/conformance/src",
    ] {
        for (path, text) in sources(directory) {
            assert!(text.lines().count() <= 400, "{} has more than 400 lines", path.display());
        }
    }
}
