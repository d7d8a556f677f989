//! The example `kafka`, killed in the middle and run again, on a real broker: what was published before the kill is
//! handled after it.
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Trial};

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

fn what_a_killed_run_had_published_is_handled_by_the_next(address: &str) {
    let killed = run(address, |line| line.starts_with("crm ") && line.contains("contact added"));
    let published = ids(&killed, "published", "@");
    assert!(!published.is_empty(), "{killed:#?}");
    assert!(!killed.iter().any(|line| line.starts_with("shutting down")), "it was killed in the middle");

    let next = run(address, |_| false);
    assert!(next.iter().any(|line| line.starts_with("shutting down")), "{next:#?}");
    for (group, done) in [("email", "welcome sent"), ("crm", "contact added")] {
        let handled: BTreeSet<_> = [&killed, &next].iter().flat_map(|lines| ids(lines, group, done)).collect();
        let lost: Vec<_> = published.iter().filter(|id| !handled.contains(*id)).collect();
        assert!(lost.is_empty(), "group {group} lost {lost:?}\nkilled: {killed:#?}\nnext: {next:#?}");
    }
}

/// A harness of its own, so that a run without a broker is shown as ignored, with the reason, and never as passed.
fn main() -> ExitCode {
    let address = std::env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or_else(|_| "127.0.0.1:9092".into());
    let first = address.split(',').next().unwrap_or_default().to_owned();
    let required = std::env::var("GULO_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name.trim() == "kafka"));
    let absent = TcpStream::connect(&first).is_err();
    let reason = if absent { format!("ignored: no Kafka answers at {first}") } else { format!("kafka at {first}") };
    let case = Trial::test("what_a_killed_run_had_published_is_handled_by_the_next", move || {
        if absent {
            return Err(format!("GULO_REQUIRE names kafka, and nothing answers at {first}").into());
        }
        what_a_killed_run_had_published_is_handled_by_the_next(&address);
        Ok(())
    });
    let case = case.with_kind(reason).with_ignored_flag(absent && !required);
    libtest_mimic::run(&Arguments::from_args(), vec![case]).exit_code()
}
