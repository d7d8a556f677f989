//! How the events of a topic lie on the wire.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::{AnyCodec, Json, essence};
use crate::envelope::{Envelope, Unsaid};
use crate::error::{Error, ErrorKind, Result, shown};

/// The codec and the envelope of a topic: what is written, and what else is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicFormat {
    /// What is written, and what a payload is taken for that does not say what it is.
    pub(crate) codec: AnyCodec,
    /// What is read too, by its content type.
    pub(crate) reads: Vec<AnyCodec>,
    /// Whether codecs are read too that nobody named.
    pub(crate) reads_usual: bool,
    pub(crate) envelope: Envelope,
    /// Read too, beside that one and CloudEvents.
    pub(crate) also: Unsaid,
}

impl Default for TopicFormat {
    fn default() -> Self {
        let (envelope, also) = (Envelope::default(), Unsaid::default());
        Self { codec: Json.into(), reads: Vec::new(), reads_usual: true, envelope, also }
    }
}

impl TopicFormat {
    /// The envelopes that are read where a message has no attributes of CloudEvents.
    pub(crate) const fn unsaid(&self) -> Unsaid {
        self.also.and(self.envelope)
    }

    /// What reads a payload of `content_type`: parameters (`; charset=utf-8`) and case do not count.
    pub(crate) fn codec_for(&self, content_type: Option<&str>) -> Result<&AnyCodec> {
        let Some(content_type) = content_type else { return Ok(&self.codec) };
        let given = essence(content_type);
        self.known()
            .find(|codec| codec.reads(given))
            .or_else(|| self.takes_anything())
            .ok_or_else(|| self.unknown(given))
    }

    fn known(&self) -> impl Iterator<Item = &AnyCodec> {
        // To who wants bytes a photo is one whether it says so or says that it is a PNG.
        let usual = if self.reads_usual && !self.codec.is_raw() { AnyCodec::SELF_DESCRIBING } else { &[] };
        std::iter::once(&self.codec).chain(&self.reads).chain(usual)
    }

    fn takes_anything(&self) -> Option<&AnyCodec> {
        (self.reads_usual && self.codec.is_raw()).then_some(&self.codec)
    }

    fn unknown(&self, given: &str) -> Error {
        let mut known: Vec<_> = self.known().map(AnyCodec::content_type).collect();
        let mut seen = std::collections::HashSet::new();
        known.retain(|content_type| seen.insert(*content_type));
        let known = known.iter().map(|content_type| format!("`{content_type}`")).collect::<Vec<_>>().join(" or ");
        Error::new(ErrorKind::Decode, format!("content type is `{}`, expected {known}", shown(given)))
            .help("let the topic read it: `.topic(.., |t| t.reads(codec))`")
    }
}

/// The formats of all topics, by their names on the broker.
#[derive(Debug, Default)]
pub(crate) struct Formats {
    named: BTreeMap<Arc<str>, Arc<TopicFormat>>,
    usual: Arc<TopicFormat>,
}

impl Formats {
    pub(crate) fn is_named(&self, topic: &str) -> bool {
        self.named.contains_key(topic)
    }

    pub(crate) fn of(&self, topic: &str) -> Arc<TopicFormat> {
        Arc::clone(self.named.get(topic).unwrap_or(&self.usual))
    }
}

impl FromIterator<(Arc<str>, TopicFormat)> for Formats {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, TopicFormat)>>(formats: I) -> Self {
        let named = formats.into_iter().map(|(topic, format)| (topic, Arc::new(format)));
        Self { named: named.collect(), usual: Arc::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Raw;

    fn reads<'a>(format: &'a TopicFormat, given: Option<&str>) -> &'a str {
        format.codec_for(given).map(AnyCodec::content_type).expect("reads")
    }

    #[test]
    fn a_payload_is_read_by_its_content_type_or_as_the_topic_has_it() {
        let format = TopicFormat { reads: vec![Raw.into()], ..TopicFormat::default() };
        assert_eq!(reads(&format, None), "application/json");
        assert_eq!(reads(&format, Some("text/plain")), "application/octet-stream");
        assert_eq!(reads(&format, Some("Application/JSON; charset=utf-8")), "application/json");
    }

    #[test]
    fn a_topic_of_bytes_takes_whatever_they_are_but_what_is_named() {
        let format = TopicFormat { codec: Raw.into(), reads: vec![Json.into()], ..TopicFormat::default() };
        let raw = [None, Some("text/plain"), Some("image/png"), Some("application/msgpack"), Some("")];
        raw.into_iter().for_each(|given| assert_eq!(reads(&format, given), "application/octet-stream", "{given:?}"));
        assert_eq!(reads(&format, Some("application/json")), "application/json");
        let only = TopicFormat { reads_usual: false, reads: Vec::new(), ..format };
        assert!(only.codec_for(Some("image/png")).is_err());
    }

    #[test]
    fn a_foreign_content_type_is_named_and_so_is_what_is_read() {
        let format = TopicFormat { reads: vec![Raw.into()], reads_usual: false, ..TopicFormat::default() };
        let error = format.codec_for(Some("text/xml")).expect_err("foreign").to_string();
        let text = "content type is `text/xml`, expected `application/json` or `application/octet-stream` (let the topic read \
                    it: `.topic(.., |t| t.reads(codec))`)";
        assert_eq!(error, text);
    }
}
