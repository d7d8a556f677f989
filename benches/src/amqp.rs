//! RabbitMQ: its queues, and the arms that fill and drain them. All publish to one fanout exchange with one quorum queue:
//! persistent, mandatory, confirmed, each message with an id of its own and the time.

mod ours;
mod with_amqprs;
mod with_lapin;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gulo::amqp::{AmqpConfig, AmqpTransport};
use gulo::transport::{GroupSpec, Topics, Topology, TopologyMode, Transport};
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};
use uuid::Uuid;

use crate::Failure;
use crate::measure::Sample;

const GROUP: &str = "bench";
const PAYLOAD: [u8; 100] = [b'x'; 100];

/// `delivery_mode`: survives a restart of the broker.
const PERSISTENT: u8 = 2;

fn url() -> Result<String, Failure> {
    std::env::var("AMQP_URL").map_err(|_| "AMQP_URL names no broker".into())
}

fn queue_of(topic: &str) -> String {
    format!("{topic}.{GROUP}")
}

/// For `timestamp`.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What begins the ids of one run, as long as ours.
fn id_prefix() -> String {
    format!("peer-{}-", Uuid::now_v7().simple())
}

/// After so many messages one frame acknowledges them, by hand: what is out is never all waiting for it.
fn ack_every(window: usize) -> u64 {
    (window as u64 / 2).clamp(1, 500)
}

/// Does what is asked of a cell's process, on a queue of its own: how fast one is depends on what is in it.
pub(crate) async fn cell(arm: &str, topic: &str, count: u64, window: usize) -> Result<Sample, Failure> {
    create(topic).await?;
    if arm.ends_with("-consume") {
        // For all: peers read what Gulo has sent.
        ours::publish(topic, count, 1000).await?;
    }
    // A cell that hangs ends with its process; the queue stays then.
    // On a worker of the runtime, where handlers publish; the main thread is none.
    let (name, arm) = (topic.to_owned(), arm.to_owned());
    let sample = tokio::spawn(async move { run(&arm, &name, count, window).await }).await?;
    delete(topic).await?;
    sample
}

async fn run(arm: &str, topic: &str, count: u64, window: usize) -> Result<Sample, Failure> {
    match arm {
        "amqp-ours-publish" => ours::publish(topic, count, window).await,
        "amqp-ours-consume" => ours::consume(topic, count, window).await,
        "amqp-well-publish" => with_lapin::publish_well(topic, count, window).await,
        "amqp-well-consume" => with_lapin::consume_well(topic, count, window).await,
        "amqp-plain-publish" => with_lapin::publish_plainly(topic, count).await,
        "amqp-plain-consume" => with_lapin::consume_plainly(topic, count, window).await,
        "amqp-fifo-publish" => with_lapin::publish_in_order(topic, count, window).await,
        "amqp-amqprs-publish" => with_amqprs::publish(topic, count, window).await,
        "amqp-amqprs-consume" => with_amqprs::consume(topic, count, window).await,
        other => Err(format!("no arm {other}").into()),
    }
}

/// Makes the exchange and its queue, as Gulo has them.
async fn create(topic: &str) -> Result<(), Failure> {
    let topics = Topics::Named(vec![topic.into()]);
    let groups = vec![GroupSpec { group: Arc::from(GROUP), topics }];
    let topology = Topology { mode: TopologyMode::Create, topics: Vec::new(), groups };
    Ok(AmqpTransport::new(AmqpConfig::new(&url()?)).ensure(&topology).await?)
}

async fn delete(topic: &str) -> Result<(), Failure> {
    let connection = Connection::connect(&url()?, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.queue_delete(queue_of(topic).into(), QueueDeleteOptions::default()).await?;
    channel.exchange_delete(topic.into(), ExchangeDeleteOptions::default()).await?;
    Ok(connection.close(200, "done".into()).await?)
}
