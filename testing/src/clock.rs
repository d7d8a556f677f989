//! Virtual time: tokio's clock, paused.

use std::hint::spin_loop;

use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

/// Pauses the clock of this runtime, unless it is paused. From then on it goes forward only when there is nothing else
/// to do, to the next timer.
pub(crate) fn pause() -> Result<()> {
    let refused = |problem: &str| {
        let error = Error::new(ErrorKind::Config, format!("a `TestBus` runs in virtual time, and {problem}"));
        Err(error.help("start it in a plain `#[tokio::test]`"))
    };
    let Ok(runtime) = Handle::try_current() else { return refused("there is no tokio runtime") };
    if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
        return refused("tokio pauses the clock of a runtime with one thread only");
    }
    if !is_paused() {
        tokio::time::pause();
    }
    Ok(())
}

/// Tokio does not say, and pausing twice is a panic: a paused clock is one that stands while the system's goes on.
fn is_paused() -> bool {
    let (ours, system) = (Instant::now(), std::time::Instant::now());
    while system.elapsed().is_zero() {
        spin_loop();
    }
    Instant::now() == ours
}
