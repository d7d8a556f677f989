//! What is sent, and what is known of it.

use std::fmt;

use gulo_bus_core::event::EventMeta;
use gulo_bus_core::handler::handled;
use uuid::Uuid;

use super::error::Problems;
use crate::domain::{Events, short_name};

/// A command or a query, and what its handler answers.
pub trait Request: Send + 'static {
    /// What its handler answers.
    type Response: Send + 'static;

    /// Whether it changes something. A command unless said.
    const KIND: RequestKind = RequestKind::Command;

    /// What is wrong with it as far as it can be told by itself. Nothing unless said;
    /// [`Validation`](super::Validation) asks.
    fn validate(&self, problems: &mut Problems) {
        let _ = problems;
    }

    /// What it is called in logs and errors: its type without the path, unless said.
    fn name() -> &'static str
    where
        Self: Sized,
    {
        short_name::<Self>()
    }
}

/// Whether a request changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// It does.
    Command,
    /// It only asks.
    Query,
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Command => "command",
            Self::Query => "query",
        })
    }
}

const ID_BYTES: usize = 256;

/// What is known of a request: what it leads to says that it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestMeta {
    /// Its id, a UUIDv7 unless said: the causation of what it leads to.
    pub id: String,
    /// The conversation that it is part of.
    pub correlation_id: String,
    /// The id of the request or event that led to it.
    pub causation_id: Option<String>,
}

impl RequestMeta {
    /// A new one, of the conversation of what is being handled in this task: a request around it, or an event of the
    /// bus. Where there is none it begins a conversation, which has its id.
    pub fn here() -> Self {
        let id = Uuid::now_v7().to_string();
        match Self::under_way() {
            Some((correlation_id, causation)) => Self { id, correlation_id, causation_id: Some(causation) },
            None => Self { correlation_id: id.clone(), id, causation_id: None },
        }
    }

    /// A new one that is part of this conversation: that of an HTTP request, say. It may come from anybody: an id that is
    /// empty, longer than 256 bytes, or has control characters is none.
    pub fn correlated(correlation_id: impl Into<String>) -> Self {
        let correlation_id = correlation_id.into();
        let new = Self::here();
        let is_one = (1..=ID_BYTES).contains(&correlation_id.len()) && !correlation_id.contains(char::is_control);
        if is_one { Self { correlation_id, ..new } } else { new }
    }

    /// A new one that the event of `meta` led to.
    pub fn caused_by(meta: &EventMeta) -> Self {
        let (correlation_id, causation_id) = (meta.conversation().to_owned(), Some(meta.id.clone()));
        Self { id: Uuid::now_v7().to_string(), correlation_id, causation_id }
    }

    /// The conversation and the id of what is being handled in this task.
    pub(crate) fn under_way() -> Option<(String, String)> {
        if let Some(events) = Events::current() {
            let request = events.request();
            return Some((request.correlation_id.clone(), request.id.clone()));
        }
        handled().map(|event| (event.conversation().to_owned(), event.id.clone()))
    }
}
