//! What is there already, and is not ours to change: looked at, so that nobody is surprised later.

use gulo_bus_core::transport::Topology;
use gulo_bus_core::{Error, ErrorKind, Result};
use lapin::options::QueueDeclareOptions;

use super::{Declaring, lacks, short};
use crate::config::called;
use crate::error;
use crate::names;

impl Declaring {
    /// RabbitMQ makes a queue whose dead-letter exchange is not there, and then drops what should go to it.
    pub(super) async fn require_dead_letter_exchange(&mut self, topology: &Topology) -> Result<()> {
        let Some(exchange) = self.config.dead_letter_exchange.clone() else { return Ok(()) };
        if topology.groups.is_empty() || self.exchange(&exchange).await? {
            return Ok(());
        }
        let what =
            format!("the dead-letter exchange {} of {}", names::shown(&exchange), called("DEAD_LETTER_EXCHANGE"));
        Err(lacks(&[what], false).help("make it first, with a queue behind it"))
    }

    /// A queue that is there is used as it is; what it has that ours has not is said. A stream is refused: a consumer of it
    /// begins at what comes next, whatever its group has missed.
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
