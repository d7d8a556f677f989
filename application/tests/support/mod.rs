//! What the tests share: events, and a publisher that says what it is told to say.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gulo_application::domain::DomainEvent;
use gulo_application::mapper::EventMapper;
use gulo_bus_core::event::{Aggregate, EventMeta, IntegrationEvent};
use gulo_bus_core::event_publisher::{AnyEvent, EventPublisher};
use gulo_bus_core::message::Message;
use gulo_bus_core::transport::{Failed, Outcome, Unsent};
use gulo_bus_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

pub(crate) struct UserCreated {
    pub(crate) user_id: u64,
}

impl DomainEvent for UserCreated {
    fn aggregate(&self) -> Option<Aggregate> {
        Some(Aggregate::new("user", self.user_id.to_string()))
    }
}

pub(crate) struct UserMoved(pub(crate) Vec<&'static str>);
impl DomainEvent for UserMoved {}

pub(crate) struct Unmapped;
impl DomainEvent for Unmapped {}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct UserRegistered {
    pub(crate) user_id: u64,
}

impl IntegrationEvent for UserRegistered {
    const TYPE: &'static str = "user.registered";
    const TOPIC: Option<&'static str> = Some("users");
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AddressChanged(pub(crate) String);

impl IntegrationEvent for AddressChanged {
    const TYPE: &'static str = "address.changed";
    const TOPIC: Option<&'static str> = Some("users");
    fn aggregate(&self) -> Option<Aggregate> {
        Some(Aggregate::new("address", "own"))
    }
}

pub(crate) fn mapper() -> EventMapper {
    EventMapper::new().map(|user: &UserCreated| UserRegistered { user_id: user.user_id }).map_each(
        |moved: &gulo_application::domain::Raised<UserMoved>, to| {
            moved.0.iter().for_each(|city| to.push(AddressChanged((*city).to_owned())));
        },
    )
}

/// What becomes of the next batches: of each event its outcome where it is not confirmed. Behind the script all is.
#[derive(Default)]
pub(crate) struct Scripted {
    pub(crate) script: Mutex<VecDeque<Vec<(usize, Outcome)>>>,
    pub(crate) batches: Mutex<Vec<Vec<AnyEvent>>>,
}

impl Scripted {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The next batch fails so.
    pub(crate) fn fails(self: &Arc<Self>, failed: &[(usize, Outcome)]) -> Arc<Self> {
        self.script.lock().expect("whole").push_back(failed.to_vec());
        Arc::clone(self)
    }

    /// What each batch held, by id of user or by city.
    pub(crate) fn batches(&self) -> Vec<Vec<String>> {
        self.batches.lock().expect("whole").iter().map(|batch| batch.iter().map(shown).collect()).collect()
    }

    pub(crate) fn metas(&self) -> Vec<EventMeta> {
        self.batches.lock().expect("whole").iter().flatten().map(|event| event.meta("service")).collect()
    }
}

pub(crate) fn shown(event: &AnyEvent) -> String {
    let user = event.downcast_ref::<UserRegistered>().map(|user| user.user_id.to_string());
    user.or_else(|| event.downcast_ref::<AddressChanged>().map(|address| address.0.clone())).expect("one of ours")
}

#[async_trait]
impl EventPublisher for Scripted {
    async fn publish_events(&self, events: Vec<AnyEvent>) -> Result<(), Unsent> {
        tokio::task::yield_now().await;
        let failed = self.script.lock().expect("whole").pop_front().unwrap_or_default();
        self.batches.lock().expect("whole").push(events);
        if failed.is_empty() {
            return Ok(());
        }
        let one = |(index, outcome): (usize, Outcome)| {
            let error = Error::new(ErrorKind::Unavailable, "the broker is away");
            Failed { index, message: Message::tombstone("users"), outcome, error }
        };
        Err(Unsent { failed: failed.into_iter().map(one).collect() })
    }
}
