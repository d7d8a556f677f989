//! Faults on a real RabbitMQ that this starts itself and may kill: what each does to loss, repetition and order.
//!
//! A scenario has a room of its own: a topic, a group with its queue, a ledger, a load that goes on through the fault and
//! insists, and members that are processes. One of them reads the queue at a time, the others wait for their turn.

mod broker;
mod delays;
mod group;
mod limits;
mod returns;
mod room;
mod server;
mod topology;

use std::path::PathBuf;
use std::sync::Arc;

use gulo_conformance::Proxy;

use crate::Trouble;
use crate::scenario::{Scenario, scenario};

use server::Server;

/// What scenarios share: a broker, started when the first one needs it, and a way to it that can be cut.
pub(crate) struct World {
    folder: PathBuf,
    server: Option<Server>,
    proxy: Option<Arc<Proxy>>,
}

impl World {
    async fn server(&mut self) -> Result<&Server, Trouble> {
        if self.server.is_none() {
            self.server = Some(Server::start(&self.folder).await?);
        }
        self.server.as_ref().ok_or_else(|| "no broker".into())
    }

    async fn proxy(&mut self) -> Result<Arc<Proxy>, Trouble> {
        if let Some(proxy) = &self.proxy {
            return Ok(proxy.clone());
        }
        let upstream = self.server().await?.address();
        Ok(self.proxy.insert(Proxy::start("127.0.0.1:0", upstream)?).clone())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.end();
        }
    }
}

const ALL: &[Scenario<World>] = &[
    scenario("broker-killed", true, "the broker is killed and started again", |w, n| Box::pin(broker::killed(w, n))),
    scenario("broker-restarted", true, "the broker stops in peace and starts again", |w, n| {
        Box::pin(broker::restarted(w, n))
    }),
    scenario("broker-paused", true, "the broker stands still for longer than two heartbeats", |w, n| {
        Box::pin(broker::paused(w, n))
    }),
    scenario("cut-all", true, "the broker closes every connection, three times", |w, n| {
        Box::pin(broker::cut_all(w, n))
    }),
    scenario("cut-publish", true, "the publisher's connections are cut in the middle", |w, n| {
        Box::pin(broker::cut_publish(w, n))
    }),
    scenario("cut-consume", true, "a member's connections are cut in the middle", |w, n| {
        Box::pin(broker::cut_consume(w, n))
    }),
    scenario("half-open-publish", false, "the publisher hears nothing for longer than two heartbeats", |w, n| {
        Box::pin(broker::half_open_publish(w, n))
    }),
    scenario("half-open-consume", false, "a member hears nothing for longer than two heartbeats", |w, n| {
        Box::pin(broker::half_open_consume(w, n))
    }),
    scenario("exchange-deleted", true, "the topic's exchange is deleted, and made again later", |w, n| {
        Box::pin(topology::exchange_deleted(w, n))
    }),
    scenario("queue-deleted", true, "the queue is deleted under two members", |w, n| {
        Box::pin(topology::queue_deleted(w, n))
    }),
    scenario("blocked", true, "an alarm of memory: nothing is let in for a while", |w, n| {
        Box::pin(limits::blocked(w, n))
    }),
    scenario("ack-timeout", true, "a handler takes longer than the broker's consumer_timeout", |w, n| {
        Box::pin(limits::ack_timeout(w, n))
    }),
    scenario("group-join", true, "a second member joins", |w, n| Box::pin(group::join(w, n))),
    scenario("group-leave", true, "the member that reads stops", |w, n| Box::pin(group::leave(w, n))),
    scenario("group-kill", true, "the member that reads is killed", |w, n| Box::pin(group::kill(w, n))),
    // On a machine that is busy a stop may fall between the question whether the queue is still ours and the begin of what was asked
    // for: then a handful begins. Nobody can exclude that without the broker.
    scenario("group-zombie", false, "the member that reads sleeps past its heartbeat, and wakes", |w, n| {
        Box::pin(group::zombie(w, n))
    }),
    scenario("group-restarts", false, "ten restarts in a row", |w, n| Box::pin(group::restarts(w, n))),
    scenario("returns", true, "routable and unroutable messages, mixed, thousands on their way at once", |w, n| {
        Box::pin(returns::mixed(w, n))
    }),
    scenario("delays-killed", false, "the broker is killed in which messages wait for their time", |w, n| {
        Box::pin(delays::killed(w, n))
    }),
];

/// Every scenario, a line each.
pub(crate) fn list() -> String {
    crate::scenario::list(ALL)
}

/// Whether all claims of the chosen scenarios hold; all of them where none is named.
#[tokio::main]
pub(crate) async fn prove(words: &[&str]) -> Result<bool, Trouble> {
    crate::scenario::prove("amqp", ALL, words, |folder| World { folder, server: None, proxy: None }).await
}
