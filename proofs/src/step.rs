//! The event of all proofs: a key counts its steps, and a step may bring trouble with it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use gulo::message::Message;
use gulo::prelude::*;
use serde::{Deserialize, Serialize};

/// Bytes that an odd payload has more than it needs.
const FILLING: usize = 600;

/// Each run has a topic of its own.
static TOPIC: OnceLock<Arc<str>> = OnceLock::new();

/// The topic that this process handles.
pub(crate) fn handle_topic(topic: &str) {
    let _ = TOPIC.set(topic.into());
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) key: usize,
    pub(crate) number: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<Brings>,
}

/// What the handler of a step does instead of its work. Times are of [`crate::now`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Brings {
    /// Fails until then.
    FailsUntil(u64),
    /// Its handler does not come back until then.
    StuckUntil(u64),
    /// Fails for good.
    Poison,
    /// Panics, every time.
    Panic,
    /// So many attempts fail.
    FailsTimes(u32),
    /// Its handler takes so many milliseconds, and gives its thread back meanwhile; or keeps it.
    Takes(u64),
    Blocks(u64),
}

impl IntegrationEvent for Step {
    const TYPE: &'static str = "proof.step";

    fn key(&self) -> Option<String> {
        Some(key_name(self.key))
    }

    fn topic() -> Option<Arc<str>> {
        Some(TOPIC.get().cloned().unwrap_or_else(|| "proof.step".into()))
    }
}

pub(crate) fn key_name(key: usize) -> String {
    format!("key-{key:02}")
}

impl Step {
    /// As the bus would publish it, and a header of the application's own.
    pub(crate) fn message(&self, topic: &Arc<str>) -> Message {
        let payload = serde_json::to_vec(self).unwrap_or_default();
        self.message_of(topic, payload)
    }

    /// The same with a payload that no encoder writes: blanks, a field nobody knows, and no order of ours. Whoever encodes
    /// it anew, instead of keeping its bytes, is found out.
    pub(crate) fn odd_message(&self, topic: &Arc<str>) -> Message {
        let trouble = serde_json::to_string(&self.trouble).unwrap_or_default();
        let payload = format!(
            "{{ \"trouble\" : {trouble},\n\t\"note\":\"k\\u00e4se {}\", \"number\":{}, \"key\":  {} }}\n",
            "x".repeat(FILLING),
            self.number,
            self.key
        );
        odd_headers(self.message_of(topic, payload))
    }

    fn message_of(&self, topic: &Arc<str>, payload: impl Into<Bytes>) -> Message {
        let headers = gulo::envelope::write(&EventMeta::of(self, "prove"), "application/json");
        Message { headers, ..Message::new(Arc::clone(topic), payload).key(key_name(self.key)) }
    }
}

/// What is no step at all: not even text.
pub(crate) fn undecodable(key: usize, topic: &Arc<str>) -> Message {
    let payload: Vec<u8> = vec![b'{', 0, 159, 146, 150, 255, b'}'];
    let step = Step { key, number: 0, trouble: None };
    odd_headers(step.message_of(topic, payload))
}

/// Headers of which a careless copy loses something: one name twice, a null, an empty one, bytes that are no text.
fn odd_headers(message: Message) -> Message {
    let mut message = message.header("twice", "1").header("twice", "2").header("empty", "").header("raw", vec![0, 255]);
    message.headers.append_nullable("null", None);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_message_is_the_same_step() {
        let step = Step { key: 3, number: 60, trouble: Some(Brings::StuckUntil(7)) };
        let message = step.odd_message(&"t".into());
        let read: Step = serde_json::from_slice(&message.payload.expect("a payload")).expect("a step");
        assert_eq!(read, step);
    }
}
