//! A handler and what it reads, and where in the program that was said.

use std::panic::Location;
use std::sync::Arc;

use crate::error::Result;
use crate::handler::ErasedHandler;
use crate::routing::{Pattern, Selected, TopicNaming, TopicSelector};

/// Where in the program something was said, for errors that speak of two places.
pub(crate) type Place = &'static Location<'static>;

/// As the application registered it.
#[derive(Debug, Clone)]
pub(crate) struct Registered {
    pub(crate) handler: Arc<dyn ErasedHandler>,
    /// `None` is the topic of its event.
    pub(crate) from: Option<TopicSelector>,
    pub(crate) place: Place,
}

/// With its topics as the broker has them.
#[derive(Debug, Clone)]
pub(crate) struct Routed {
    pub(crate) handler: Arc<dyn ErasedHandler>,
    pub(crate) topics: Selected,
    pub(crate) place: Place,
}

impl Registered {
    pub(crate) fn resolve(&self, naming: &TopicNaming) -> Result<Routed> {
        let topics = match &self.from {
            None => Selected::Named(vec![self.handler.topic(naming)?]),
            Some(TopicSelector(Selected::Named(names))) => {
                Selected::Named(names.iter().map(|name| naming.name(name)).collect())
            }
            Some(TopicSelector(Selected::Pattern(pattern))) => {
                Pattern::new(pattern)?;
                Selected::Pattern(pattern.clone())
            }
        };
        Ok(Routed { handler: Arc::clone(&self.handler), topics, place: self.place })
    }
}
