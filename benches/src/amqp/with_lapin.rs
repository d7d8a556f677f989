//! Raw lapin, as its documentation has it, and as it is fastest.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, PublisherConfirm};
use tokio::time::timeout;

use super::{PAYLOAD, PERSISTENT, ack_every, id_prefix, now, queue_of, url};
use crate::Failure;
use crate::measure::{Clocks, Meter, Sample};

/// As Gulo has it.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(30);

struct Publishing {
    channel: Channel,
    exchange: ShortString,
    id_prefix: String,
    connection: Connection,
}

impl Publishing {
    async fn open(topic: &str) -> Result<Self, Failure> {
        let connection = Connection::connect(&url()?, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { channel, exchange: topic.into(), id_prefix: id_prefix(), connection })
    }

    /// Handed over; the confirm comes later.
    async fn send(&self, number: u64) -> Result<PublisherConfirm, Failure> {
        let id = format!("{}{number}", self.id_prefix);
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let properties = properties.with_message_id(id.into()).with_timestamp(now());
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let payload = PAYLOAD.to_vec();
        Ok(self.channel.basic_publish(self.exchange.clone(), "".into(), options, &payload, properties).await?)
    }

    async fn send_and_confirm(&self, number: u64) -> Result<(), Failure> {
        confirmed(self.send(number).await?.await?)
    }

    /// With an end to it: a broker that hangs confirms nothing and closes nothing.
    async fn send_and_confirm_in_time(&self, number: u64) -> Result<(), Failure> {
        timeout(CONFIRMED_WITHIN, self.send_and_confirm(number)).await?
    }

    async fn close(self) -> Result<(), Failure> {
        Ok(self.connection.close(200, "done".into()).await?)
    }
}

fn confirmed(confirmation: Confirmation) -> Result<(), Failure> {
    if confirmation.is_ack() && confirmation.take_message().is_none() { Ok(()) } else { Err("not taken".into()) }
}

/// One after the other.
pub(super) async fn publish_plainly(topic: &str, count: u64) -> Result<Sample, Failure> {
    let publishing = Publishing::open(topic).await?;
    let clocks = Clocks::start();
    for number in 0..count {
        publishing.send_and_confirm(number).await?;
    }
    let sample = clocks.stop(count);
    publishing.close().await?;
    Ok(sample)
}

/// Each publish awaited, the confirms behind in a window.
pub(super) async fn publish_in_order(topic: &str, count: u64, window: usize) -> Result<Sample, Failure> {
    let publishing = Publishing::open(topic).await?;
    let clocks = Clocks::start();
    let mut under_way = VecDeque::with_capacity(window);
    for number in 0..count {
        under_way.push_back(publishing.send(number).await?);
        if under_way.len() >= window
            && let Some(confirm) = under_way.pop_front()
        {
            confirmed(confirm.await?)?;
        }
    }
    for confirm in under_way {
        confirmed(confirm.await?)?;
    }
    let sample = clocks.stop(count);
    publishing.close().await?;
    Ok(sample)
}

/// A window of futures, polled by one task; each has the time that ours has.
pub(super) async fn publish_well(topic: &str, count: u64, window: usize) -> Result<Sample, Failure> {
    let publishing = Publishing::open(topic).await?;
    let clocks = Clocks::start();
    let mut under_way = FuturesUnordered::new();
    for number in 0..count {
        under_way.push(publishing.send_and_confirm_in_time(number));
        if under_way.len() >= window {
            under_way.next().await.transpose()?;
        }
    }
    while under_way.next().await.transpose()?.is_some() {}
    let sample = clocks.stop(count);
    drop(under_way);
    publishing.close().await?;
    Ok(sample)
}

async fn consumer(topic: &str, window: usize) -> Result<(Connection, Channel, Consumer), Failure> {
    let connection = Connection::connect(&url()?, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(u16::try_from(window)?, BasicQosOptions::default()).await?;
    let (queue, options) = (queue_of(topic).into(), BasicConsumeOptions::default());
    let consumer = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
    Ok((connection, channel, consumer))
}

/// Each acknowledged and awaited.
pub(super) async fn consume_plainly(topic: &str, count: u64, window: usize) -> Result<Sample, Failure> {
    let (connection, _channel, mut consumer) = consumer(topic, window).await?;
    let meter = Meter::new(count);
    for _ in 0..count {
        let delivery = consumer.next().await.ok_or("the stream ended")??;
        meter.count(delivery.data.len() as u64);
        delivery.ack(BasicAckOptions::default()).await?;
    }
    let sample = meter.sample().await;
    connection.close(200, "done".into()).await?;
    Ok(sample)
}

/// One acknowledgement for many.
pub(super) async fn consume_well(topic: &str, count: u64, window: usize) -> Result<Sample, Failure> {
    let (connection, channel, mut consumer) = consumer(topic, window).await?;
    let (meter, every) = (Meter::new(count), ack_every(window));
    for number in 1..=count {
        let delivery = consumer.next().await.ok_or("the stream ended")??;
        meter.count(delivery.data.len() as u64);
        if number % every == 0 || number == count {
            channel.basic_ack(delivery.delivery_tag, BasicAckOptions { multiple: true }).await?;
        }
    }
    let sample = meter.sample().await;
    connection.close(200, "done".into()).await?;
    Ok(sample)
}
