//! What Gulo promises, shown on a real broker with numbers beside it. `scripts/prove` starts the broker and runs this.
//!
//! A proof has three parties. The *load* publishes at a steady rate. A *node* is a process of its own with the bus and a
//! handler in it; it writes down what it does, line by line, so that `kill -9` takes nothing of that away. The *judge*
//! compares what was published, what the node wrote and what stands in the topics, read without the bus.

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(feature = "kafka")]
mod exactly_once;
#[cfg(feature = "kafka")]
mod eye;
#[cfg(feature = "kafka")]
mod failure;
// Shared by proofs on several brokers: one alone does not use all of it.
#[cfg_attr(not(feature = "kafka"), allow(dead_code))]
mod judge;
#[cfg(feature = "kafka")]
mod kafka;
mod ledger;
#[cfg(feature = "kafka")]
mod letters;
#[cfg(feature = "kafka")]
mod load;
mod member;
#[cfg_attr(not(feature = "kafka"), allow(dead_code))]
mod node;
#[cfg_attr(not(feature = "kafka"), allow(dead_code))]
mod pace;
#[cfg_attr(not(feature = "kafka"), allow(dead_code))]
mod record;
#[cfg_attr(not(feature = "kafka"), allow(dead_code))]
mod report;
mod rows;
mod scenario;
#[cfg_attr(not(all(feature = "kafka", feature = "amqp")), allow(dead_code))]
mod scene;
#[cfg_attr(not(feature = "kafka"), allow(dead_code))]
mod step;
#[cfg_attr(not(all(feature = "kafka", feature = "amqp")), allow(dead_code))]
mod traffic;
#[cfg_attr(not(feature = "kafka"), allow(dead_code))]
mod verdict;

use std::process::ExitCode;

/// Why a proof could not be carried out. A claim that does not hold is no such error.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "usage: prove failure [--quick] | exactly-once [--quick] | kafka [--quick | SCENARIO..] | \
                     amqp [--quick | SCENARIO..] | scenarios kafka|amqp";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let held = match words[..] {
        #[cfg(feature = "kafka")]
        ["failure"] => failure::prove(&failure::LONG),
        #[cfg(feature = "kafka")]
        ["failure", "--quick"] => failure::prove(&failure::QUICK),
        #[cfg(feature = "kafka")]
        ["exactly-once"] => exactly_once::prove(&exactly_once::LONG),
        #[cfg(feature = "kafka")]
        ["exactly-once", "--quick"] => exactly_once::prove(&exactly_once::QUICK),
        #[cfg(feature = "kafka")]
        ["transform", input, output, group, id, member] => {
            exactly_once::transform(input, output, group, id, member).map(|()| true)
        }
        #[cfg(feature = "kafka")]
        ["kafka", ref chosen @ ..] => kafka::prove(chosen),
        #[cfg(feature = "kafka")]
        ["scenarios", "kafka"] => {
            print!("{}", kafka::list());
            Ok(true)
        }
        #[cfg(feature = "amqp")]
        ["amqp", ref chosen @ ..] => amqp::prove(chosen),
        #[cfg(feature = "amqp")]
        ["scenarios", "amqp"] => {
            print!("{}", amqp::list());
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
