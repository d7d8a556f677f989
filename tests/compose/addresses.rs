//! Addresses that services are given, in their variables and in the files they mount.

use serde_json::Value;

use crate::file::{compose, plain, read};
use crate::kafka::listeners;

/// Of `http://host:port/..` and `"host:port"` in a text.
fn addresses(text: &str) -> Vec<(String, String)> {
    let starts = text.match_indices("http://").map(|(at, found)| &text[at + found.len()..]);
    let quoted = text.lines().filter_map(|line| line.trim().strip_prefix("- targets: [\""));
    let place = |rest: &str| rest.split(['/', '"', '\n', ' ']).next().and_then(|place| place.split_once(':')).map(own);
    starts.chain(quoted).filter_map(place).collect()
}

fn own((host, port): (&str, &str)) -> (String, String) {
    (host.to_owned(), port.to_owned())
}

#[test]
fn addresses_that_services_are_given_name_services() {
    let services = compose().services;
    let mut given: Vec<(String, String)> = Vec::new();
    for file in ["deploy/otel-collector.yaml", "deploy/prometheus.yaml", "deploy/grafana-datasources.yaml"] {
        let found = addresses(&read(file));
        assert!(found.len() >= 2, "{file}: {found:?}");
        serde_saphyr::from_str::<Value>(&read(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        given.extend(found);
    }
    for value in services.values().flat_map(|service| service.environment.values()).map(plain) {
        given.extend(addresses(&value));
    }
    for (host, port) in given {
        let service = services.get(&host).unwrap_or_else(|| panic!("{host} is a service"));
        let on_the_host = service.published().any(|(_, _, inside)| inside == port);
        // Ports that only containers use: what the images say of themselves.
        let inside = [("jaeger", "4318"), ("jaeger", "8888"), ("loki", "3100"), ("rabbitmq", "15692")];
        assert!(on_the_host || inside.contains(&(host.as_str(), port.as_str())), "{host}:{port}");
    }
    let (host, port) = &listeners("KAFKA_ADVERTISED_LISTENERS")["INTERNAL"];
    for (name, variable) in
        [("kafka-ui", "KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS"), ("schema-registry", "KARAPACE_BOOTSTRAP_URI")]
    {
        assert_eq!(services[name].variable(variable), format!("{host}:{port}"), "{name}");
    }
}

#[test]
fn the_collector_listens_where_it_is_published() {
    let collector: Value = serde_saphyr::from_str(&read("deploy/otel-collector.yaml")).expect("YAML");
    let protocols = &collector["receivers"]["otlp"]["protocols"];
    let endpoints = [&protocols["grpc"], &protocols["http"], &collector["extensions"]["health_check"]];
    let ports = endpoints
        .map(|it| it["endpoint"].as_str().and_then(|it| it.strip_prefix("0.0.0.0:")).expect("a port").to_owned());
    let compose = compose();
    assert_eq!(compose.services["otel-collector"].published().map(|(_, _, inside)| inside).collect::<Vec<_>>(), ports);
}
