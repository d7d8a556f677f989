//! Gulo: raw messages through the bus.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use gulo::message::Message;
use gulo::prelude::*;

use super::{GROUP, PAYLOAD, url};
use crate::Failure;
use crate::measure::{Clocks, Meter, Sample};

/// Calls that a window is cut into. One more is under way, so that the window is full while one is answered; on their way to
/// the broker there are never more messages than the window.
const CALLS: usize = 10;

/// As many messages on their way as the window says, and no more.
pub(super) async fn publish(topic: &str, count: u64, window: usize) -> Result<Sample, Failure> {
    let transport = AmqpTransport::new(AmqpConfig::new(&url()?).publish_window(window));
    let bus = Bus::builder("bench").transport(transport).topic(topic, |topic| topic).start().await?;
    let topic: Arc<str> = topic.into();
    // Each is made anew, as by the peers.
    let message = |_| Message::new(topic.clone(), PAYLOAD.to_vec());
    bus.send(vec![message(0)]).await?;
    let batch = (window / CALLS).max(1) as u64;
    let calls = if window == 1 { 1 } else { CALLS + 1 };
    let clocks = Clocks::start();
    let mut under_way = FuturesUnordered::new();
    for first in (0..count).step_by(batch as usize) {
        under_way.push(bus.send((first..count.min(first + batch)).map(message).collect()));
        if under_way.len() >= calls {
            under_way.next().await.transpose()?;
        }
    }
    while under_way.next().await.transpose()?.is_some() {}
    let sample = clocks.stop(count);
    drop(under_way);
    bus.shutdown(Duration::from_secs(20)).await?;
    Ok(sample)
}

async fn count_it(Payload(bytes): Payload, State(meter): State<Arc<Meter>>) {
    meter.count(bytes.map_or(0, |bytes| bytes.len() as u64));
}

/// One after the other, as the peers do.
pub(super) async fn consume(topic: &str, count: u64, window: usize) -> Result<Sample, Failure> {
    let meter = Arc::new(Meter::new(count));
    let group = Subscription::group(GROUP)
        .window(window)
        .concurrency(Concurrency::Sequential)
        // The topic is the run's own, and nothing fails.
        .dead_letter(DeadLetter::discard())
        .on_raw(topic, count_it);
    let transport = AmqpTransport::new(AmqpConfig::new(&url()?));
    let bus = Bus::builder("bench").transport(transport).subscribe(group).state(meter.clone()).start().await?;
    let sample = meter.sample().await;
    bus.shutdown(Duration::from_secs(20)).await?;
    Ok(sample)
}
