//! One message before the wire: what AMQP is given, and what it cannot take.

use std::time::SystemTime;

use bytes::Bytes;
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::Capability;
use gulo_bus_core::{Error, ErrorKind, Result};
use lapin::BasicProperties;
use lapin::types::ShortString;

use super::words::nobody_reads;
use crate::config::AmqpConfig;
use crate::delay::Delay;
use crate::transport::capabilities;
use crate::{NAME, convert};

/// What one message is to AMQP, checked before the wire.
pub(super) fn prepare(
    config: &AmqpConfig,
    message: &Message,
    own_id: impl FnOnce() -> String,
    largest_header: usize,
) -> Result<(ShortString, ShortString, BasicProperties)> {
    check(config, message, largest_header)?;
    let properties = convert::properties(message, own_id, config.persistent)?;
    let short = |text: &str| ShortString::try_new(text).map_err(|_| nobody_reads(&message.topic));
    if let Some(at) = message.send.deliver_at
        && let Some(delay) = Delay::until(at, SystemTime::now())?
    {
        return Ok((short(&delay.exchange())?, short(&delay.routing_key(&message.topic))?, properties));
    }
    Ok((short(&message.topic)?, convert::routing_key(message), properties))
}

/// RabbitMQ counts a message's life in each queue anew, and forgets it when the message leaves the first one.
fn both() -> Error {
    let (later, brief) = (Capability::DeliverAt, Capability::Expires);
    let text = format!("transport `{NAME}` does not offer `{brief}` for a message with `{later}`");
    Error::new(ErrorKind::Unsupported, text).help("say one of them; what comes late, the handler can pass over")
}

fn check(config: &AmqpConfig, message: &Message, largest_header: usize) -> Result<()> {
    let (can, wishes) = (capabilities(config), &message.send);
    if !wishes.is_empty() {
        let asked =
            [(wishes.partition.is_some(), Capability::Partitions), (wishes.priority.is_some(), Capability::Priority)];
        for (_, capability) in asked.iter().filter(|(asked, _)| *asked) {
            can.require(NAME, *capability)?;
        }
        if wishes.deliver_at.is_some() && wishes.expires.is_some() {
            return Err(both());
        }
    }
    let (size, limit) = (message.size(), config.max_message_bytes);
    if size > limit {
        let text =
            format!("a message of {size} bytes for topic `{}` is over the limit of {limit} bytes", message.topic);
        return Err(Error::new(ErrorKind::TooLarge, text)
            .help("`AmqpConfig::max_message_bytes` sets it, and the broker's `max_message_size`"));
    }
    let headers = convert::size_of(&message.headers) + message.key.as_ref().map_or(0, Bytes::len);
    if headers > largest_header {
        let text = format!(
            "headers of {headers} bytes for topic `{}` are over the limit of {largest_header} bytes",
            message.topic
        );
        return Err(
            Error::new(ErrorKind::TooLarge, text).help("they go into one frame: the broker's `frame_max` sets it")
        );
    }
    Ok(())
}
