//! What Gulo promises, shown on a real broker with numbers beside it. `scripts/prove` starts the broker and runs this.
//!
//! A proof has three parties. The *load* publishes at a steady rate. A *node* is a process of its own with the bus and a
//! handler in it; it writes down what it does, line by line, so that `kill -9` takes nothing of that away. The *judge*
//! compares what was published, what the node wrote and what stands in the topics, read without the bus.

mod exactly_once;
mod eye;
mod failure;
mod judge;
mod kafka;
mod ledger;
mod letters;
mod load;
mod member;
mod node;
mod pace;
mod report;
mod step;

use std::process::ExitCode;

/// Why a proof could not be carried out. A claim that does not hold is no such error.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str =
    "usage: prove failure [--quick] | exactly-once [--quick] | kafka [--quick | SCENARIO..] | scenarios";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let held = match words[..] {
        ["failure"] => failure::prove(&failure::LONG),
        ["failure", "--quick"] => failure::prove(&failure::QUICK),
        ["exactly-once"] => exactly_once::prove(&exactly_once::LONG),
        ["exactly-once", "--quick"] => exactly_once::prove(&exactly_once::QUICK),
        ["transform", input, output, group, id, member] => {
            exactly_once::transform(input, output, group, id, member).map(|()| true)
        }
        ["kafka", ref chosen @ ..] => kafka::prove(chosen),
        ["scenarios"] => {
            print!("{}", kafka::list());
            Ok(true)
        }
        ["node", topic, group, ledger, options] => node::run(topic, group, ledger, options).map(|()| true),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => {
            eprintln!("the proof could not be carried out: {trouble}");
            ExitCode::FAILURE
        }
    }
}

/// Microseconds since 1970: the one clock that the load and its nodes share.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}
