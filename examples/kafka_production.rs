//! A service as it runs in production: TLS and a login from the environment, a tuned client, health over HTTP, a stop by
//! signal, logs.
//!
//! ```text
//! scripts/brokers up kafka-secure
//! set -a; . target/brokers/kafka-secure/client.env; set +a
//! cargo run --features kafka --example kafka_production
//!
//! curl -i localhost:8080/readyz
//! curl -i -X POST localhost:8080/orders -H 'content-type: application/json' -d '{"customer": "ann", "cents": 1999}'
//! curl -i -X POST localhost:8080/orders -H 'content-type: application/json' -d '{"customer": "bob", "cents": 0}'  # a dead letter
//! kill -TERM PID          # or ctrl-c: handlers finish, what is finished is committed; a second one ends it at once
//! ```
//!
//! `client.env` is what a deployment would set: KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_MECHANISM,
//! KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD, KAFKA_SSL_CAFILE, KAFKA_SERVICE_NAME and KAFKA_CONSUMER_GROUP_ID. `docs/kafka.md`
//! lists all there are. HTTP_ADDRESS (127.0.0.1:8080) is where it listens.

use std::error::Error;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gulo::ErrorKind;
use gulo::bus::{Health, Monitor};
use gulo::event::Outgoing;
use gulo::kafka::Compression;
use gulo::prelude::*;
use gulo::transport::{Outcome, Unsent};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

/// Longer than handlers ordinarily take, shorter than what an orchestrator waits before it kills (30 s in Kubernetes).
const STOP_WITHIN: Duration = Duration::from_secs(20);

// Orders of one customer are handled one after the other, in the order in which they were placed.
#[derive(Debug, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "order.placed", topic = "orders", key = customer)]
struct OrderPlaced {
    order: Uuid,
    customer: String,
    cents: u64,
}

async fn charge(Event(order): Event<OrderPlaced>, Attempt(attempt): Attempt) -> Result<(), HandlerError> {
    if order.cents == 0 {
        // Trying again is of no use: it goes to the dead letters, and the customer's next order is handled.
        return Err(HandlerError::new("an order of nothing").permanent());
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    // The customer and the amount are nobody's business in a log.
    tracing::info!(order = %order.order, attempt, "charged");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let unless_said = tracing_subscriber::filter::LevelFilter::INFO.into();
    let filter = tracing_subscriber::EnvFilter::builder().with_default_directive(unless_said).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(std::io::stdout().is_terminal()).init();

    let config = config()?;
    // Passwords are `***` here, as everywhere.
    tracing::debug!(producer = ?config.producer_properties(), consumer = ?config.consumer_properties(), "settings");
    // Before the group is joined: a port that is taken should move nobody's lanes.
    let address = std::env::var("HTTP_ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".into());
    let listener = TcpListener::bind(&address).await.map_err(|error| format!("HTTP_ADDRESS={address}: {error}"))?;
    let billing = Subscription::configured(config.service())?
        .concurrency(Concurrency::per_key(64))
        .retry(Retry::exponential(Duration::from_millis(200)).max_attempts(5).jitter())
        .deadline(Duration::from_secs(10))
        // What a kill repeats at most.
        .commit(CommitPolicy { every: 1000, interval: Duration::from_secs(1) })
        .on(charge);
    let bus = Bus::configured(config.service())?
        .transport(KafkaTransport::new(config))
        .topic("orders", |topic| topic.partitions(12))
        .subscribe(billing)
        .start()
        .await?;

    let bus = Arc::new(bus);
    tracing::info!("listening on http://{}", listener.local_addr()?);
    let (stop_http, stopping) = tokio::sync::oneshot::channel::<()>();
    let serving = axum::serve(listener, face(&bus)).with_graceful_shutdown(async move { drop(stopping.await) });
    let serving = tokio::spawn(serving.into_future());

    stop_signal().await?;
    tracing::info!("stopping");
    // No new orders first; then the handlers have until the deadline.
    drop(stop_http);
    serving.await??;
    let bus = Arc::into_inner(bus).ok_or("the HTTP face still holds the bus")?;
    tokio::select! {
        report = bus.shutdown(STOP_WITHIN) => tracing::info!("{}", report?),
        second = stop_signal() => second?,
    }
    Ok(())
}

/// The environment wins over what stands here, so an operator can tune without a build.
fn config() -> gulo::Result<KafkaConfig> {
    KafkaConfig::default()
        .client_id("orders")
        // Batches of up to 256 KiB, waited for 5 ms at most: fewer requests for the brokers, and a publish that is quick still.
        .compression(Compression::Zstd)
        .batch_size(256 * 1024)
        .linger(Duration::from_millis(5))
        // Who waits for an answer has gone after ten. Until then it is tried again, and after it nobody knows.
        .publish_timeout(Duration::from_secs(8))
        // A member that died is noticed after 15 s, a rebalance within 3.
        .session_timeout(Duration::from_secs(15))
        .heartbeat_interval(Duration::from_secs(3))
        // Fetches wait for 64 KiB or 100 ms: fewer, and still quick.
        .consumer_property("fetch.min.bytes", "65536")
        .consumer_property("fetch.wait.max.ms", "100")
        .with_env()
}

/// What is served over HTTP.
fn face(bus: &Arc<Bus>) -> Router {
    let health = Router::new()
        // That it answers is all: a restart only repeats what a slow handler has begun.
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .with_state(bus.monitor());
    let orders = Router::new().route("/orders", post(place_order)).with_state(Arc::clone(bus));
    health.merge(orders)
}

/// 200 while all is well, else 503; the body says what is not.
async fn ready(Shared(monitor): Shared<Monitor>) -> impl IntoResponse {
    let health: Health = monitor.health();
    let status = if health.is_up() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CONTENT_TYPE, "application/json")], health.to_json() + "\n")
}

#[derive(Deserialize)]
struct NewOrder {
    customer: String,
    cents: u64,
}

/// 202 when the broker has confirmed the event, and not before. Else what is known of it, for the client to go by.
async fn place_order(Shared(bus): Shared<Arc<Bus>>, Json(new): Json<NewOrder>) -> Response {
    let order = Uuid::now_v7();
    // The event is called as the order is, so that whoever was told of the one can look for the other.
    let event = Outgoing::new(OrderPlaced { order, customer: new.customer, cents: new.cents }).id(order.to_string());
    match bus.publish(event).await {
        Ok(()) => (StatusCode::ACCEPTED, format!("{order}\n")).into_response(),
        Err(unsent) => {
            tracing::warn!(%order, "not placed: {unsent}");
            not_placed(order, &unsent)
        }
    }
}

/// What a client may do: never again, again, or look first.
fn not_placed(order: Uuid, unsent: &Unsent) -> Response {
    match unsent.failed.first().map(|failed| (failed.outcome, failed.error.kind())) {
        Some((Outcome::Refused, ErrorKind::TooLarge)) => {
            (StatusCode::PAYLOAD_TOO_LARGE, "not placed: larger than an event may be\n").into_response()
        }
        Some((Outcome::Refused, _)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, "not placed: refused for good\n").into_response()
        }
        Some((Outcome::NotSent, _)) => {
            let again = [(header::RETRY_AFTER, "5")];
            (StatusCode::SERVICE_UNAVAILABLE, again, "not placed: try again\n").into_response()
        }
        // It may have arrived: placing it again may place it twice.
        _ => (StatusCode::GATEWAY_TIMEOUT, format!("not known whether it was placed: event {order}\n")).into_response(),
    }
}

/// What an orchestrator sends, or who sits in front of it.
async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use gulo::message::Message;

    use super::*;

    async fn answered(outcome: Outcome, kind: ErrorKind) -> (u16, Option<String>, String) {
        let batch = vec![Message::new("orders", "{}")];
        let unsent = Unsent::all(batch, outcome, |_| gulo::Error::new(kind, "why"));
        let response = not_placed(Uuid::nil(), &unsent);
        let after = response.headers().get(header::RETRY_AFTER).map(|after| after.to_str().expect("text").to_owned());
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1000).await.expect("a body");
        (status, after, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn a_client_is_told_what_is_known_of_its_order() {
        let unknown = format!("not known whether it was placed: event {}\n", Uuid::nil());
        for (outcome, kind, status, after, body) in [
            (Outcome::Refused, ErrorKind::TooLarge, 413, None, "not placed: larger than an event may be\n"),
            (Outcome::Refused, ErrorKind::Refused, 422, None, "not placed: refused for good\n"),
            (Outcome::NotSent, ErrorKind::Unavailable, 503, Some("5"), "not placed: try again\n"),
            (Outcome::NotSent, ErrorKind::Closed, 503, Some("5"), "not placed: try again\n"),
            (Outcome::Unknown, ErrorKind::TimedOut, 504, None, &unknown),
        ] {
            assert_eq!(answered(outcome, kind).await, (status, after.map(str::to_owned), body.to_owned()));
        }
    }
}
