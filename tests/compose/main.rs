//! `docker-compose.yml` agrees with the scripts, with its guide, and with itself. No engine is asked.

mod addresses;
mod file;
mod kafka;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::file::{Service, compose, read, table};

/// What each image holds that can ask it for its health. Most are without a shell, or without curl.
const ASKED_BY: [(&str, &str); 8] = [
    ("grafana", "wget"),
    ("jaeger", "wget"),
    ("kafka", "bash"),
    ("kafka-ui", "wget"),
    ("loki", "/usr/bin/loki"),
    ("prometheus", "/bin/promtool"),
    ("rabbitmq", "rabbitmq-diagnostics"),
    ("schema-registry", "python3"),
];
const NOT_ASKED: [(&str, &str); 1] =
    [("otel-collector", "its image holds the collector alone, which cannot ask itself")];

#[test]
fn every_image_is_pinned_to_a_release() {
    for (name, service) in compose().services {
        let (_, tag) = service.image.rsplit_once(':').unwrap_or_else(|| panic!("{name} has a tag"));
        let release = tag.trim_start_matches('v').split('-').next().unwrap_or_default();
        let numbers: Vec<_> = release.split('.').map(str::parse::<u32>).collect();
        assert!(numbers.len() == 3 && numbers.iter().all(Result::is_ok), "{name}: `{tag}` is no release");
    }
}

#[test]
fn every_service_is_asked_for_its_health_by_what_its_image_holds() {
    let services = compose().services;
    for (name, service) in &services {
        let Some(check) = &service.healthcheck else {
            assert!(NOT_ASKED.iter().any(|(exception, _)| exception == name), "{name} has no health check");
            continue;
        };
        let (_, program) =
            ASKED_BY.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{name} is known"));
        assert!(["CMD", "CMD-SHELL"].contains(&check.test[0].as_str()), "{name}");
        assert_eq!(check.test[1].split(' ').next(), Some(*program), "{name}");
        let times = [&check.interval, &check.timeout, &check.start_period];
        assert!(times.iter().all(|time| time.ends_with('s')) && check.retries >= 10, "{name}: its times are merged in");
    }
    for name in ASKED_BY.iter().map(|(name, _)| *name) {
        assert!(services[name].healthcheck.is_some(), "{name}");
    }
    assert!(NOT_ASKED.iter().all(|(name, _)| services[*name].healthcheck.is_none()), "an exception that is none");
}

#[test]
fn a_service_waits_for_the_health_of_services_that_are_started_with_it() {
    let services = compose().services;
    for (name, service) in &services {
        for (other, dependency) in &service.depends_on {
            let other_service =
                services.get(other).unwrap_or_else(|| panic!("{name} waits for {other}, which is none"));
            assert_eq!(dependency.condition, "service_healthy", "{name} waits for {other}");
            assert!(other_service.healthcheck.is_some(), "{name} would wait for {other} for ever");
            assert!(
                service.profiles.iter().all(|profile| other_service.is_in(profile)),
                "{other} is there with {name}"
            );
        }
    }
    for name in ["kafka-ui", "schema-registry"] {
        assert!(services[name].depends_on.contains_key("kafka"), "{name}");
    }
}

#[test]
fn kafka_alone_is_up_without_a_profile() {
    let alone = |(name, service): (String, Service)| service.profiles.is_empty().then_some(name);
    assert_eq!(compose().services.into_iter().filter_map(alone).collect::<Vec<_>>(), ["kafka"]);
}

#[test]
fn profiles_are_those_of_the_guide() {
    let mut profiles = BTreeMap::<String, BTreeSet<String>>::new();
    let services = compose().services;
    for (name, service) in &services {
        for profile in &service.profiles {
            profiles.entry(profile.clone()).or_default().insert(name.clone());
        }
    }
    let all: BTreeSet<String> =
        services.into_iter().filter(|(_, s)| !s.profiles.is_empty()).map(|(name, _)| name).collect();
    let told = table("profiles").into_iter().map(|row| {
        let adds = if row[1] == "all of these" { all.clone() } else { row[1].split(", ").map(str::to_owned).collect() };
        (row[0].clone(), adds)
    });
    assert_eq!(profiles, told.collect());
    for profile in
        ["docs/compose.md", "docker-compose.yml"].map(read).iter().flat_map(|text| text.split("--profile ").skip(1))
    {
        let profile = profile.split([' ', '`']).next().unwrap_or_default();
        assert!(profiles.contains_key(profile), "--profile {profile}");
    }
}

#[test]
fn published_ports_are_those_of_the_guide_and_on_loopback_only() {
    let services = compose().services;
    let mut published = Vec::new();
    for (name, service) in &services {
        for (address, outside, _) in service.published() {
            assert_eq!(address, "127.0.0.1", "{name}: {outside}");
            published.push((outside.to_owned(), name.clone()));
        }
    }
    let ports: BTreeSet<&String> = published.iter().map(|(port, _)| port).collect();
    assert_eq!(ports.len(), published.len(), "no port twice");
    let told: BTreeSet<_> = table("ports").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(published.into_iter().collect::<BTreeSet<_>>(), told);
}

#[test]
fn mounted_files_exist_and_every_file_is_mounted() {
    let mut mounted = BTreeSet::new();
    for (name, service) in compose().services {
        for (source, place) in service.mounts().filter(|(source, _)| source.starts_with('.')) {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(source).is_file(), "{name} mounts {source}");
            assert!(place.ends_with(":ro"), "{name}: {source} is ours, not the container's");
            mounted.insert(source.trim_start_matches("./").to_owned());
        }
    }
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")).expect("the folder");
    let files = folder.map(|entry| format!("deploy/{}", entry.expect("an entry").file_name().display()));
    assert_eq!(mounted, files.collect());
}

#[test]
fn networks_and_volumes_are_declared_and_used() {
    let compose = compose();
    let services = compose.services.values();
    let networks: BTreeSet<_> = services.clone().flat_map(|service| &service.networks).collect();
    assert_eq!(networks, compose.networks.keys().collect());
    let sources = services.clone().flat_map(Service::mounts).map(|(source, _)| source);
    let volumes: BTreeSet<&str> = sources.filter(|source| !source.starts_with('.')).collect();
    assert_eq!(volumes, compose.volumes.keys().map(String::as_str).collect());
    for (name, service) in &compose.services {
        assert!(!service.networks.is_empty() && service.restart == "unless-stopped", "{name}");
    }
}
