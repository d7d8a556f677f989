//! A codec for each topic: JSON, MessagePack, bytes as they are, and one of your own; a topic that changes its codec while it
//! is read; an event in an envelope that other software expects. Needs no broker:
//!
//! ```text
//! cargo run --example codecs --features msgpack
//! ```

use std::error::Error;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use gulo::bus::TopicSettings;
use gulo::codec::{Codec, CodecError, ReadEvent, erased_serde};
use gulo::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "sensor.reading", topic = "readings", key = sensor)]
struct Reading {
    sensor: u32,
    celsius: f64,
}

#[derive(Debug, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "sensor.configured", topic = "configurations", key = sensor)]
struct Configured {
    sensor: u32,
    interval_ms: u32,
}

/// Bytes: the payload is the photo and nothing else.
#[derive(Debug, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "sensor.photographed", topic = "photos")]
struct Photographed(Vec<u8>);

/// A codec of your own, here JSON behind the line that says which company's it is. Any serde format will do.
struct Signed;

impl Codec for Signed {
    fn content_type(&self) -> &str {
        "application/vnd.acme.signed"
    }

    fn encode(&self, event: &dyn erased_serde::Serialize, buffer: &mut BytesMut) -> Result<(), CodecError> {
        buffer.put_slice(b"ACME\n");
        Ok(serde_json::to_writer(buffer.writer(), event)?)
    }

    fn decode(&self, payload: &[u8], read: ReadEvent<'_>) -> Result<(), CodecError> {
        let json = payload.strip_prefix(b"ACME\n").ok_or("that is not signed by ACME")?;
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut serde_json::Deserializer::from_slice(json)))?;
        Ok(())
    }
}

async fn on_reading(Event(reading): Event<Reading>) {
    println!("handled    {reading:?}");
}

async fn on_configured(Event(configured): Event<Configured>) {
    println!("handled    {configured:?}");
}

async fn on_photo(Event(Photographed(photo)): Event<Photographed>) {
    println!("handled    a photo of {} bytes", photo.len());
}

/// Shows what lies in a topic, as any consumer sees it.
async fn on_the_wire(message: Message) {
    let content_type = message.headers.get_str("content-type").unwrap_or("nothing");
    let payload = message.payload.unwrap_or_default();
    println!("on wire    {:<15} {content_type:<30} {:?}", message.topic, String::from_utf8_lossy(&payload));
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // RUST_LOG=gulo=debug shows what the bus does.
    let unless_said = tracing_subscriber::filter::LevelFilter::ERROR.into();
    let filter = tracing_subscriber::EnvFilter::builder().with_default_directive(unless_said).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let broker = MemoryTransport::new();
    let wire = Subscription::group("wire").on_raw(["readings", "configurations", "photos"], on_the_wire);
    let group = Subscription::group("station").on(on_reading).on(on_configured).on(on_photo);
    let station = Bus::builder("station")
        .transport(broker.clone())
        // JSON and MessagePack are read by their content type, whatever is written. Others are named.
        .topic("configurations", |t| t.codec(Signed))
        .topic("photos", |t| t.codec(Raw))
        .subscribe(group)
        .subscribe(wire)
        .start()
        .await?;

    station.publish(Configured { sensor: 7, interval_ms: 500 }).await?;
    station.publish(Photographed(b"GIF89a".to_vec())).await?;

    // Sensors are deployed anew, with another codec each time, while the station reads.
    sensor(&broker, "JSON", 20.5, |t| t).await?;
    sensor(&broker, "MessagePack", 21.0, |t| t.codec(MessagePack)).await?;
    sensor(&broker, "a structured CloudEvent", 21.5, |t| t.envelope(Envelope::CloudEventsStructured)).await?;

    println!("\n{}", station.shutdown(Duration::from_secs(5)).await?);
    Ok(())
}

/// One deployment of a sensor: one reading, with the topic set as it says.
async fn sensor(
    broker: &MemoryTransport,
    what: &str,
    celsius: f64,
    set: fn(TopicSettings) -> TopicSettings,
) -> Result<(), Box<dyn Error>> {
    let bus = Bus::builder("sensor").transport(broker.clone()).topic("readings", set).start().await?;
    bus.publish(Reading { sensor: 7, celsius }).await?;
    println!("\npublished  {celsius} as {what}");
    bus.shutdown(Duration::from_secs(5)).await?;
    // Let the station handle it before the next one comes.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}
