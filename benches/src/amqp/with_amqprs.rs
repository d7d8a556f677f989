//! amqprs. It has no future for a confirm: a callback counts them, which is as fast as it gets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use amqprs::callbacks::ChannelCallback;
use amqprs::channel::{
    BasicAckArguments, BasicConsumeArguments, BasicPublishArguments, BasicQosArguments, Channel, ConfirmSelectArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::consumer::AsyncConsumer;
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, Deliver, Nack, Return};
use async_trait::async_trait;
use lapin::uri::AMQPUri;
use tokio::sync::Notify;

use super::{PAYLOAD, PERSISTENT, ack_every, id_prefix, now, queue_of, url};
use crate::Failure;
use crate::measure::{Clocks, Meter, Sample};

async fn connect() -> Result<(Connection, Channel), Failure> {
    let AMQPUri { authority, vhost, .. } = url()?.parse::<AMQPUri>()?;
    let (user, password) = (&authority.userinfo.username, &authority.userinfo.password);
    let mut arguments = OpenConnectionArguments::new(&authority.host, authority.port, user, password);
    let connection = Connection::open(arguments.virtual_host(&vhost)).await?;
    let channel = connection.open_channel(None).await?;
    Ok((connection, channel))
}

/// What is confirmed.
#[derive(Debug, Default)]
struct Confirmed {
    many: AtomicU64,
    failed: AtomicU64,
    more: Notify,
}

impl Confirmed {
    /// Waits until fewer than `window` of `sent` are open.
    async fn room(&self, sent: u64, window: u64) -> Result<(), Failure> {
        while sent >= self.many.load(Ordering::Acquire) + window {
            self.more.notified().await;
        }
        if self.failed.load(Ordering::Acquire) == 0 { Ok(()) } else { Err("not taken".into()) }
    }
}

struct Callback {
    confirmed: Arc<Confirmed>,
    /// All up to this tag are confirmed, and these.
    up_to: u64,
    beyond: BTreeSet<u64>,
}

#[async_trait]
impl ChannelCallback for Callback {
    async fn close(&mut self, _: &Channel, _: CloseChannel) -> Result<(), amqprs::error::Error> {
        self.fail();
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), amqprs::error::Error> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, amqprs::error::Error> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        let tag = ack.delivery_tag();
        if ack.mutiple() || tag == self.up_to + 1 {
            self.up_to = self.up_to.max(tag);
            self.beyond.retain(|tag| *tag > self.up_to);
        } else {
            self.beyond.insert(tag);
        }
        self.confirmed.many.store(self.up_to + self.beyond.len() as u64, Ordering::Release);
        self.confirmed.more.notify_one();
    }

    async fn publish_nack(&mut self, _: &Channel, _: Nack) {
        self.fail();
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {
        self.fail();
    }
}

impl Callback {
    fn fail(&self) {
        self.confirmed.failed.fetch_add(1, Ordering::AcqRel);
        self.confirmed.more.notify_one();
    }
}

pub(super) async fn publish(topic: &str, count: u64, window: usize) -> Result<Sample, Failure> {
    let (connection, channel) = connect().await?;
    let confirmed = Arc::new(Confirmed::default());
    channel.register_callback(Callback { confirmed: confirmed.clone(), up_to: 0, beyond: BTreeSet::new() }).await?;
    channel.confirm_select(ConfirmSelectArguments::default()).await?;
    let prefix = id_prefix();
    let clocks = Clocks::start();
    for number in 0..count {
        confirmed.room(number, window as u64).await?;
        let id = format!("{prefix}{number}");
        let mut properties = BasicProperties::default();
        let properties = properties.with_delivery_mode(PERSISTENT).with_message_id(&id).with_timestamp(now()).finish();
        let arguments = BasicPublishArguments::new(topic, "").mandatory(true).finish();
        channel.basic_publish(properties, PAYLOAD.to_vec(), arguments).await?;
    }
    confirmed.room(count, 1).await?;
    let sample = clocks.stop(count);
    channel.close().await?;
    connection.close().await?;
    Ok(sample)
}

struct Consumer {
    meter: Arc<Meter>,
    every: u64,
    count: u64,
}

#[async_trait]
impl AsyncConsumer for Consumer {
    async fn consume(&mut self, channel: &Channel, deliver: Deliver, _: BasicProperties, content: Vec<u8>) {
        let tag = deliver.delivery_tag();
        self.meter.count(content.len() as u64);
        if tag.is_multiple_of(self.every) || tag == self.count {
            // It fails where the connection is gone, and then the cell does not end.
            let _ = channel.basic_ack(BasicAckArguments::new(tag, true)).await;
        }
    }
}

pub(super) async fn consume(topic: &str, count: u64, window: usize) -> Result<Sample, Failure> {
    let (connection, channel) = connect().await?;
    channel.basic_qos(BasicQosArguments::new(0, u16::try_from(window)?, false)).await?;
    let meter = Arc::new(Meter::new(count));
    let arguments = BasicConsumeArguments::new(&queue_of(topic), "bench").manual_ack(true).finish();
    channel.basic_consume(Consumer { meter: meter.clone(), every: ack_every(window), count }, arguments).await?;
    let sample = meter.sample().await;
    channel.close().await?;
    connection.close().await?;
    Ok(sample)
}
