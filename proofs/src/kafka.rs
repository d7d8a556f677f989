//! Faults, on real brokers that this starts itself and may kill: what each does to loss, repetition, order and commits.
//!
//! A scenario has a room of its own: a topic, a group, a ledger, a load that goes on through the fault, members that are
//! processes, and a watch that asks for the committed offsets from outside all the time.

mod broker;
mod cluster;
mod group;
mod members;
// The tests of the transport have more use for it, and another root.
#[allow(dead_code, unreachable_pub)]
mod room;
mod topics;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gulo_conformance::Proxy;

use crate::Trouble;
use crate::scenario::{Scenario, scenario};

use cluster::{Cluster, FRAGILE};
use members::{named, new_protocol};
use room::options;

/// What scenarios share: brokers, started when the first one needs them.
pub(crate) struct World {
    folder: PathBuf,
    one: Option<Cluster>,
    three: Option<Cluster>,
    fragile: Option<Cluster>,
    proxy: Option<Arc<Proxy>>,
}

impl World {
    fn new(folder: PathBuf) -> Self {
        Self { folder, one: None, three: None, fragile: None, proxy: None }
    }

    async fn one(&mut self) -> Result<&mut Cluster, Trouble> {
        start(&mut self.one, &self.folder, 1, "").await
    }

    async fn three(&mut self) -> Result<&mut Cluster, Trouble> {
        start(&mut self.three, &self.folder, 3, "").await
    }

    /// One broker, whose session ends at a pause.
    async fn fragile(&mut self) -> Result<&mut Cluster, Trouble> {
        start(&mut self.fragile, &self.folder.join("fragile"), 1, FRAGILE).await
    }

    /// The way to the one broker that can be cut.
    async fn proxy(&mut self) -> Result<Arc<Proxy>, Trouble> {
        if let Some(proxy) = &self.proxy {
            return Ok(proxy.clone());
        }
        let (upstream, listens) = self.one().await?.faulty();
        Ok(self.proxy.insert(Proxy::start(&listens, upstream)?).clone())
    }
}

async fn start<'a>(
    cluster: &'a mut Option<Cluster>,
    folder: &Path,
    count: usize,
    settings: &'static str,
) -> Result<&'a mut Cluster, Trouble> {
    if cluster.is_none() {
        *cluster = Some(Cluster::start(folder, count, settings).await?);
    }
    cluster.as_mut().ok_or_else(|| "no cluster".into())
}

const ALL: &[Scenario<World>] = &[
    scenario("group-join", true, "a second member joins", |w, n| Box::pin(group::join(w, n, options()))),
    scenario("group-leave", true, "one of two members stops", |w, n| Box::pin(group::leave(w, n, options()))),
    scenario("group-kill", true, "one of two members is killed", |w, n| Box::pin(group::kill(w, n, options()))),
    scenario("group-zombie", true, "one of two members sleeps for longer than its session, and wakes", |w, n| {
        Box::pin(group::zombie(w, n, options()))
    }),
    scenario("group-five", false, "five rebalances in a row", |w, n| Box::pin(group::five(w, n))),
    scenario("group-stop", true, "a member stops while the group rebalances", |w, n| {
        Box::pin(group::stop_in_rebalance(w, n))
    }),
    scenario("group-restarts", false, "ten restarts in a row", |w, n| Box::pin(group::restarts(w, n))),
    scenario("group-slow", false, "handlers take longer than max.poll.interval.ms", |w, n| Box::pin(group::slow(w, n))),
    scenario("group-parked", true, "a hand-over, a stop and a restart with keys parked", |w, n| {
        Box::pin(group::parked(w, n))
    }),
    scenario("broker-killed", true, "the only broker is killed and started again", |w, n| {
        Box::pin(broker::restart(w, n, [options(), options()]))
    }),
    scenario("broker-paused", true, "the only broker stands still for less than a session", |w, n| {
        Box::pin(broker::frozen(w, n, 2.0))
    }),
    scenario("broker-frozen", false, "the only broker stands still for longer than a session", |w, n| {
        Box::pin(broker::frozen(w, n, 7.0))
    }),
    scenario("broker-fenced", false, "the only broker is fenced again and again: the metadata names none", |w, n| {
        Box::pin(broker::fenced(w, n))
    }),
    scenario(
        "broker-one-of-three",
        false,
        "one of three brokers is killed, two in-sync replicas are enough",
        |w, n| Box::pin(broker::one_of_three(w, n)),
    ),
    scenario("broker-leader", false, "a leader goes in peace, and comes back", |w, n| {
        Box::pin(broker::leader_moves(w, n))
    }),
    scenario("cut-produce", true, "the publisher's connections are cut in the middle", |w, n| {
        Box::pin(broker::cut_produce(w, n))
    }),
    scenario("cut-commit", true, "a member's connections are cut while it commits", |w, n| {
        Box::pin(broker::cut_commit(w, n))
    }),
    scenario("cut-member", false, "one member hears nothing for longer than its session", |w, n| {
        Box::pin(broker::isolated(w, n))
    }),
    scenario("topic-letters", true, "the topic of the dead letters is deleted and made again", |w, n| {
        Box::pin(topics::letters_again(w, n))
    }),
    scenario("topic-offsets", true, "a group is put back, then loses its positions", |w, n| {
        Box::pin(topics::offsets(w, n))
    }),
    scenario("topic-again", false, "the topic is deleted, and made again after a while", |w, n| {
        Box::pin(topics::again(w, n, false))
    }),
    scenario("topic-again-at-once", true, "the topic is deleted, and made again at once", |w, n| {
        Box::pin(topics::again(w, n, true))
    }),
    scenario(
        "topic-overtaken",
        false,
        "the same, and it has grown past the old positions before the member hears of it",
        |w, n| Box::pin(topics::overtaken(w, n)),
    ),
    scenario("topic-grown", true, "partitions are added", |w, n| Box::pin(topics::grown(w, n))),
    scenario("topic-holes", false, "transactions, aborted ones too, and compaction; a member is killed", |w, n| {
        Box::pin(topics::holes(w, n))
    }),
    scenario("refused-writes", false, "two of three brokers refuse all writes for 4 s", |w, n| {
        Box::pin(broker::refused(w, n))
    }),
    scenario("refused-commits", false, "two of three brokers refuse all commits for 5 s", |w, n| {
        Box::pin(broker::refused_commits(w, n))
    }),
    scenario("dynamic-back", false, "the only member is killed and started at once", |w, n| {
        Box::pin(members::kill_and_restart(w, n, options()))
    }),
    scenario("static-back", false, "the same with group.instance.id", |w, n| {
        Box::pin(members::kill_and_restart(w, n, named("one")))
    }),
    scenario("static-killed", true, "a named member is killed and comes back within its session", |w, n| {
        Box::pin(members::comes_back(w, n, true))
    }),
    scenario("static-stopped", false, "a named member stops and comes back within its session", |w, n| {
        Box::pin(members::comes_back(w, n, false))
    }),
    scenario("static-broker", false, "the broker is killed and started again under named members", |w, n| {
        Box::pin(broker::restart(w, n, [named("one"), named("two")]))
    }),
    scenario("new-join", false, "KIP-848: a second member joins", |w, n| Box::pin(group::join(w, n, new_protocol()))),
    scenario("new-leave", false, "KIP-848: one of two members stops", |w, n| {
        Box::pin(group::leave(w, n, new_protocol()))
    }),
    scenario("new-kill", true, "KIP-848: one of two members is killed", |w, n| {
        Box::pin(group::kill(w, n, new_protocol()))
    }),
    scenario("new-zombie", false, "KIP-848: one of two members sleeps for longer than its session", |w, n| {
        Box::pin(group::zombie(w, n, new_protocol()))
    }),
];

/// Every scenario, a line each.
pub(crate) fn list() -> String {
    crate::scenario::list(ALL)
}

/// Whether all claims of the chosen scenarios hold; all of them where none is named.
#[tokio::main]
pub(crate) async fn prove(words: &[&str]) -> Result<bool, Trouble> {
    crate::scenario::prove("kafka", ALL, words, World::new).await
}
