//! The whole bus on a real broker: a process killed in the middle, a handler that blocks, order through failures.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gulo::prelude::*;
use libtest_mimic::{Arguments, Trial};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use uuid::Uuid;

/// The example, built: `cargo test` does so by itself only where no targets are named.
fn example() -> PathBuf {
    let build = ["build", "--quiet", "--locked", "--features", "kafka", "--example", "kafka"];
    let built = Command::new(env!("CARGO")).args(build).current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(built.expect("cargo runs").success(), "the example does not build");
    let test = std::env::current_exe().expect("a path");
    test.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps").join("examples/kafka")
}

/// The ids after `word` at the beginning of a line.
fn ids(lines: &[String], word: &str, with: &str) -> BTreeSet<String> {
    let lines = lines.iter().filter(|line| line.starts_with(word) && line.contains(with));
    lines.filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned)).collect()
}

/// Runs the example; kills it (SIGKILL) at the first line that `kill_at` wants.
fn run(address: &str, kill_at: impl Fn(&str) -> bool) -> Vec<String> {
    let mut command = Command::new(example());
    let mut child = command.env("KAFKA_BOOTSTRAP_SERVERS", address).stdout(Stdio::piped()).spawn().expect("runs");
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let line = line.expect("UTF-8");
        if kill_at(&line) {
            child.kill().expect("killed");
        }
        lines.push(line);
    }
    child.wait().expect("ended");
    lines
}

/// Of `published`, what no run has handled in `group` yet.
fn unhandled(runs: &[Vec<String>], group: &str, done: &str, published: &BTreeSet<String>) -> Vec<String> {
    let handled: BTreeSet<_> = runs.iter().flat_map(|lines| ids(lines, group, done)).collect();
    published.difference(&handled).cloned().collect()
}

/// A run ends when its own events are done, and then leaves what waits for its next attempt to the next one, and says so.
fn what_a_killed_run_had_published_is_handled_by_the_next(address: &str) {
    let killed = run(address, |line| line.starts_with("crm ") && line.contains("contact added"));
    let published = ids(&killed, "published", "@");
    assert!(!published.is_empty(), "{killed:#?}");
    assert!(!killed.iter().any(|line| line.starts_with("shutting down")), "it was killed in the middle");

    let mut runs = vec![killed];
    loop {
        let next = run(address, |_| false);
        assert!(next.iter().any(|line| line.starts_with("shutting down")), "{next:#?}");
        let nothing_left = next.iter().filter(|line| line.ends_with(" 0 left for redelivery")).count() == 2;
        runs.push(next);
        let open = [("email", "welcome sent"), ("crm", "contact added")]
            .map(|(group, done)| unhandled(&runs, group, done, &published));
        if open.iter().all(Vec::is_empty) {
            return;
        }
        assert!(!nothing_left && runs.len() < 5, "lost by email and crm: {open:?}\n{runs:#?}");
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Step {
    run: String,
    order: u32,
    number: u32,
}

impl IntegrationEvent for Step {
    const TYPE: &'static str = "test.step";
    const TOPIC: Option<&'static str> = Some("gulo-test-steps");

    fn key(&self) -> Option<String> {
        Some(format!("{} {}", self.run, self.order))
    }
}

/// What handlers of one run saw: other runs use the same topic.
#[derive(Clone)]
struct Seen {
    run: String,
    steps: Arc<Mutex<Vec<(u32, u32)>>>,
}

impl Seen {
    fn new() -> Self {
        Self { run: Uuid::now_v7().to_string(), steps: Arc::default() }
    }

    fn step(&self, order: u32, number: u32) -> Step {
        Step { run: self.run.clone(), order, number }
    }

    fn note(&self, step: &Step) {
        self.steps.lock().expect("whole").push((step.order, step.number));
    }

    fn all(&self) -> Vec<(u32, u32)> {
        self.steps.lock().expect("whole").clone()
    }

    async fn until(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.all().len() < count {
            assert!(Instant::now() < deadline, "{} of {count} in time", self.all().len());
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn bus(&self, address: &str, subscription: Subscription) -> Bus {
        let config = KafkaConfig::new(address).session_timeout(Duration::from_secs(6));
        // Heartbeats have a thread of their own in the client: it is by not polling for this long that a member is out.
        let config = config.property("max.poll.interval.ms", "21000").property("session.timeout.ms", "6000");
        let bus = Bus::builder("test").transport(KafkaTransport::new(config)).subscribe(subscription);
        bus.state(self.clone()).start().await.expect("starts")
    }

    fn group(&self) -> Subscription {
        Subscription::group(format!("gulo-test-{}", self.run))
    }
}

/// The handler blocks the only thread of its runtime for longer than `max.poll.interval.ms`: whoever polled from there would be thrown
/// out of the group, and get the message again.
async fn a_handler_that_blocks_its_thread_does_not_cost_the_membership(address: &str) {
    let seen = Seen::new();
    let handler = async |Event(step): Event<Step>, State(seen): State<Seen>| {
        if step.run == seen.run {
            seen.note(&step);
            std::thread::sleep(Duration::from_secs(if step.number == 0 { 24 } else { 0 }));
        }
    };
    // What was handed out already is handled by a member that is out, too. But its verdicts count for nothing, so all of it comes
    // again: to the same bus, or to the next.
    for ends in [2, 3] {
        let bus = seen.bus(address, seen.group().on(handler)).await;
        bus.publish_all((seen.all().len() as u32..ends).map(|number| seen.step(1, number))).await.expect("confirmed");
        seen.until(ends as usize).await;
        let health = bus.health();
        assert!(health.is_up(), "{health:?}");
        bus.shutdown(Duration::from_secs(20)).await.expect("clean");
    }
    assert_eq!(seen.all(), [(1, 0), (1, 1), (1, 2)], "each once");
}

async fn order_of_first_effects_holds_through_failures_and_a_second_member(address: &str) {
    let seen = Seen::new();
    let handler = async |Event(step): Event<Step>, Attempt(attempt): Attempt, State(seen): State<Seen>| {
        if step.run != seen.run {
            return Ok(());
        }
        sleep(Duration::from_millis(u64::from(step.number % 3))).await;
        if (step.order + step.number) % 7 == 0 && attempt == 1 {
            return Err(HandlerError::new("not yet"));
        }
        seen.note(&step);
        Ok(())
    };
    let group = || seen.group().concurrency(Concurrency::per_key(16)).retry(Retry::fixed(Duration::from_millis(5)));
    let first = seen.bus(address, group().on(handler)).await;
    let steps = |numbers: std::ops::Range<u32>| numbers.flat_map(|number| (0..20).map(move |order| (order, number)));
    let publish =
        async |numbers| first.publish_all(steps(numbers).map(|(order, number)| seen.step(order, number))).await;
    publish(0..25).await.expect("confirmed");
    let second = seen.bus(address, group().on(handler)).await;
    publish(25..50).await.expect("confirmed");
    seen.until(1000).await;
    for bus in [first, second] {
        bus.shutdown(Duration::from_secs(20)).await.expect("clean");
    }
    let all = seen.all();
    for order in 0..20 {
        let of_order: Vec<_> = all.iter().filter(|(of, _)| *of == order).map(|(_, number)| *number).collect();
        let mut firsts = of_order.clone();
        firsts.retain({
            let mut known = BTreeSet::new();
            move |number| known.insert(*number)
        });
        assert_eq!(firsts, (0..50).collect::<Vec<_>>(), "order {order}: {of_order:?}");
    }
}

fn on_one_thread(body: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(body);
}

type Case = (&'static str, fn(&str));

const CASES: &[Case] = &[
    ("what_a_killed_run_had_published_is_handled_by_the_next", what_a_killed_run_had_published_is_handled_by_the_next),
    ("a_handler_that_blocks_its_thread_does_not_cost_the_membership", |address| {
        on_one_thread(a_handler_that_blocks_its_thread_does_not_cost_the_membership(address));
    }),
    ("order_of_first_effects_holds_through_failures_and_a_second_member", |address| {
        on_one_thread(order_of_first_effects_holds_through_failures_and_a_second_member(address));
    }),
];

/// A harness of its own, so that a run without a broker is shown as ignored, with the reason, and never as passed.
fn main() -> ExitCode {
    let address = std::env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or_else(|_| "127.0.0.1:9092".into());
    let first = address.split(',').next().unwrap_or_default().to_owned();
    let required = std::env::var("GULO_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name.trim() == "kafka"));
    let absent = TcpStream::connect(&first).is_err();
    let kind = if absent { format!("no Kafka answers at {first}") } else { format!("kafka at {first}") };
    let trial = |(name, body): &Case| {
        let (body, address, why) = (*body, address.clone(), kind.clone());
        let case = move || {
            if absent {
                return Err(format!("GULO_REQUIRE names kafka: {why}").into());
            }
            body(&address);
            Ok(())
        };
        Trial::test(*name, case).with_kind(kind.clone()).with_ignored_flag(absent && !required)
    };
    libtest_mimic::run(&Arguments::from_args(), CASES.iter().map(trial).collect()).exit_code()
}
