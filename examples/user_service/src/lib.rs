//! An application of several services: users register over HTTP; email, CRM and analytics hear of it. The README walks
//! through it.

pub mod analytics;
#[cfg(feature = "broker")]
pub mod broker;
pub mod commands;
pub mod crm;
pub mod domain;
pub mod email;
pub mod events;
pub mod http;
pub mod users;

use std::error::Error;

use gulo::prelude::*;
use tokio::signal::unix::{SignalKind, signal};

/// The result of a `main`.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What a service subscribes by as the group `group`. Its dead letters are called after the service: the name of their
/// topic says the environment already, as `staging.users.email.dlq`.
fn subscription(service: &'static str, group: &str) -> Subscription {
    Subscription::group(group).dead_letter(DeadLetter::topic_named(move |topic, _| format!("{topic}.{service}.dlq")))
}

/// To stderr: what the services say to people is on stdout. `RUST_LOG=gulo=debug` says more.
pub fn log() {
    let unless_said = tracing_subscriber::filter::LevelFilter::INFO.into();
    let filter = tracing_subscriber::EnvFilter::builder().with_default_directive(unless_said).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
}

/// Ctrl-c, or what a platform sends.
///
/// # Errors
///
/// Where the process may not listen for signals.
pub async fn stop_signal() -> std::io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminated.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}
