//! What is there already, and what is not: looked at and told, so that nobody is surprised later.

use std::sync::Arc;

use gulo_bus_core::transport::{GroupSpec, Topology};
use gulo_bus_core::{Error, ErrorKind, Result};
use lapin::options::QueueDeclareOptions;

use super::{Declaring, delayed, named, short};
use crate::config::called;
use crate::error;
use crate::names::{self, queue_of};

/// One error that names all of it.
pub(super) fn lacks(missing: &[String], declares: bool) -> Error {
    let help = if declares {
        "make it first, or let `ensure` do so: `TopologyMode::Create`"
    } else {
        "make it first: by the configuration nothing is declared"
    };
    Error::new(ErrorKind::Missing, format!("the broker lacks {}", missing.join(", "))).help(help)
}

impl Declaring {
    /// All of `topology` that is not there.
    pub(super) async fn missing(&mut self, topology: &Topology) -> Result<Vec<String>> {
        let mut missing: Vec<String> = Vec::new();
        let mut note = |text: String| {
            if !missing.contains(&text) {
                missing.push(text);
            }
        };
        let mut topics: Vec<&Arc<str>> = topology.topics.iter().map(|topic| &topic.name).collect();
        for group in &topology.groups {
            topics.extend(named(&group.topics, &self.config.clone())?);
        }
        for topic in topics {
            if !self.exchange(topic).await? {
                note(format!("topic {}", names::shown(topic)));
            }
        }
        for GroupSpec { group, topics } in &topology.groups {
            for topic in named(topics, &self.config.clone())? {
                if self.queue(&queue_of(topic, group)).await?.is_none() {
                    note(format!("queue {} of group {}", names::shown(&queue_of(topic, group)), names::shown(group)));
                }
            }
        }
        for (index, topic) in delayed(topology).enumerate() {
            self.missing_delays(topic, index > 0).await?.into_iter().for_each(&mut note);
        }
        Ok(missing)
    }

    /// RabbitMQ makes a queue whose dead-letter exchange is not there, and then drops what should go to it.
    pub(super) async fn require_dead_letter_exchange(&mut self, topology: &Topology) -> Result<()> {
        let Some(exchange) = self.config.dead_letter_exchange.clone() else { return Ok(()) };
        if topology.groups.is_empty() || self.exchange(&exchange).await? {
            return Ok(());
        }
        let what =
            format!("the dead-letter exchange {} of {}", names::shown(&exchange), called("DEAD_LETTER_EXCHANGE"));
        Err(Error::new(ErrorKind::Config, format!("the broker lacks {what}"))
            .help("make it first, with a queue behind it"))
    }

    /// A queue that is there is used as it is; what it has that ours has not is said. A stream is refused: a consumer of it
    /// begins at what comes next, whatever its group has missed. One that is not there is made by the question, not yet bound.
    pub(super) async fn compare_queue(&mut self, queue: &str) -> Result<()> {
        let Some(refusal) = self.differs(queue).await? else { return Ok(()) };
        let queue = names::shown(queue);
        if refusal.contains("'stream'") {
            let text = format!("queue {queue} is a stream: {refusal}");
            let help = "delete it, or give the group another name: what a group has not read yet would be skipped";
            return Err(Error::new(ErrorKind::Refused, text).help(help));
        }
        tracing::warn!(
            %queue,
            "is there with other arguments than ours, and is used as it is: {refusal}. Without single active consumer the \
             order per key ends with the second member; one that is not durable, or has a limit, loses messages"
        );
        Ok(())
    }

    /// What RabbitMQ has against our declaration of a queue that is there.
    async fn differs(&mut self, queue: &str) -> Result<Option<String>> {
        let channel = self.channel().await?;
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        let arguments = self.queue_arguments(self.config.single_active_consumer);
        let Err(refusal) = self.in_time(channel.queue_declare(short(queue)?, options, arguments)).await? else {
            return Ok(None);
        };
        self.channel = None;
        if let Some(said) = error::inequivalent(&refusal) {
            return Ok(Some(said.to_owned()));
        }
        // Who may not configure it cannot ask.
        if error::is_refused(&refusal) { Ok(None) } else { Err(self.link.told(&refusal)) }
    }
}
