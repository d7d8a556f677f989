//! Every workload beside its raw peer, in one run. See `scripts/bench --help`.

// Built for some of the brokers, it does not need all.
#![cfg_attr(not(all(feature = "amqp", feature = "kafka")), allow(dead_code, unused_variables))]

#[cfg(feature = "amqp")]
mod amqp;
mod cell;
#[cfg(feature = "kafka")]
mod kafka;
mod load;
mod measure;
mod memory;
mod plan;
mod table;

use std::path::Path;
use std::process::ExitCode;
#[cfg(any(feature = "amqp", feature = "kafka"))]
use std::time::{SystemTime, UNIX_EPOCH};

use plan::Size;
use tokio::runtime::Builder;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cell-1` is a cell on a runtime of one thread.
    let mut runtime = match args.first().map(String::as_str) {
        Some("cell-1") => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let done = runtime.enable_all().build().map_err(Failure::from).and_then(|runtime| runtime.block_on(run(&args)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &[String]) -> Result<(), Failure> {
    if let Some(("cell" | "cell-1", args)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return cell::run_here(args).await;
    }
    let (quick, check) = (args.iter().any(|arg| arg == "--quick"), args.iter().any(|arg| arg == "--check"));
    let size = if quick { Size::QUICK } else { Size::FULL };
    let folder = Path::new("target/bench");
    let mut missed = 0;
    for what in args.iter().filter(|arg| !arg.starts_with("--")) {
        missed += match what.as_str() {
            "memory" => plan::memory(size, folder).await?,
            #[cfg(feature = "kafka")]
            "kafka" => plan::kafka(size, folder).await?,
            #[cfg(feature = "amqp")]
            "amqp" => plan::amqp(size, folder).await?,
            other => {
                return Err(
                    format!("there is no workload {other}: memory, kafka, amqp, as far as they are built").into()
                );
            }
        };
    }
    if check && missed > 0 {
        return Err(format!("{missed} requirements are missed").into());
    }
    Ok(())
}

/// A name that no other run has.
#[cfg(any(feature = "amqp", feature = "kafka"))]
fn unique(name: &str) -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{name}-{nanos:x}")
}
