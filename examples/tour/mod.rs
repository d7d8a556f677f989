//! The program that `quickstart` and `kafka` run: only the transport differs.

#![allow(unreachable_pub)]

use std::collections::HashSet;
use std::error::Error;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gulo::dead_letter;
use gulo::prelude::*;
use gulo::settle::{Settlement, Verdict};
use gulo::transport::{Delivery, Inbox, SubscribeSpec, Transport};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(60);

/// The event: plain data, with a name on the wire and a topic (its own, for other examples may run on the same broker).
#[derive(Debug, Clone, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", topic = "tour-users", key = user_id, aggregate(kind = "user", id = user_id))]
struct UserRegistered {
    // The key: events of one user keep their order.
    user_id: Uuid,
    email: String,
}

/// A handler: what it takes says what it handles.
async fn send_welcome(
    Event(user): Event<UserRegistered>,
    Attempt(attempt): Attempt,
    State(desk): State<Desk>,
) -> Result<(), HandlerError> {
    sleep(Duration::from_millis(50)).await;
    if user.email.starts_with("bob@") && attempt == 1 {
        desk.say("email", &user, "FAILED: the mail server is busy; will be tried again");
        return Err(HandlerError::new("the mail server is busy"));
    }
    if !user.email.contains('@') {
        desk.say("email", &user, "FAILED for good: that is no address");
        return Err(HandlerError::new(format!("no address for user {}", user.user_id)).permanent());
    }
    desk.say("email", &user, &format!("welcome sent (attempt {attempt})"));
    desk.done("email", user.user_id);
    Ok(())
}

/// Another group: it gets every event too, and knows nothing of the first.
async fn add_contact(Event(user): Event<UserRegistered>, State(desk): State<Desk>) {
    sleep(Duration::from_millis(50)).await;
    desk.say("crm", &user, "contact added");
    desk.done("crm", user.user_id);
}

pub async fn run(transport: impl Transport) -> Result<(), Box<dyn Error>> {
    let transport: Arc<dyn Transport> = Arc::new(transport);
    let users = ["alice@example.org", "bob@example.org", "carol at example", "dave@example.org", "erin@example.org"]
        .map(|email| UserRegistered { user_id: Uuid::now_v7(), email: email.into() });
    let desk = Desk::of_run(&users);

    let bus = Bus::builder("user-service")
        .shared_transport(Arc::clone(&transport))
        .subscribe(Subscription::group("tour-email").retry(Retry::fixed(Duration::from_millis(200))).on(send_welcome))
        .subscribe(Subscription::group("tour-crm").on(add_contact))
        .state(desk.clone())
        .start()
        .await?;
    println!("{bus:?} is running\n");

    bus.publish_all(users.clone()).await?;
    for user in &users {
        println!("published  {}  {}", user.user_id, user.email);
    }
    println!("           all {} confirmed by the broker\n", users.len());

    timeout(PATIENCE, desk.all_done()).await.map_err(|_| "not everything was handled in time")?;
    println!();
    timeout(PATIENCE, show_dead_letter(&*transport, &users[2])).await.map_err(|_| "no dead letter in time")??;

    println!("shutting down");
    println!("{}", bus.shutdown(Duration::from_secs(10)).await?);
    Ok(())
}

/// Reads the dead-letter topic until the letter of `user` is there: outside of any group where the broker has that, else as a
/// group, which settles what it has seen.
async fn show_dead_letter(transport: &dyn Transport, user: &UserRegistered) -> gulo::Result<()> {
    let letters = ["tour-users.tour-email.dlq"];
    let solo = transport.capabilities().solo;
    let spec = if solo { SubscribeSpec::solo(letters) } else { SubscribeSpec::group("tour-letters", letters) };
    let mut source = transport.subscribe(spec).await?;
    let (mut inbox, key) = (Inbox::default(), user.user_id.to_string());
    loop {
        source.recv(&mut inbox, 100).await?;
        inbox.events.clear();
        let seen = |letter: &Delivery| Settlement { token: letter.token, verdict: Verdict::Done };
        if !solo {
            source.settle(&mut inbox.deliveries.iter().map(seen).collect())?;
        }
        let its = |letter: &Delivery| letter.message.key.as_deref() == Some(key.as_bytes());
        let Some(letter) = inbox.deliveries.drain(..).find(its) else { continue };
        println!("dead letter in {}:", letter.message.topic);
        println!("  payload: {}", String::from_utf8_lossy(letter.message.payload.as_deref().unwrap_or_default()));
        for (name, value) in letter.message.headers.iter().filter(|(name, _)| name.starts_with(dead_letter::PREFIX)) {
            println!("  {name}: {}", String::from_utf8_lossy(value.map_or(b"", |value| value)));
        }
        println!();
        return source.close(tokio::time::Instant::now() + Duration::from_secs(5)).await;
    }
}

/// What the handlers share: it prints, and knows what of this run is not done yet.
#[derive(Clone)]
struct Desk(Arc<DeskState>);

struct DeskState {
    of_this_run: HashSet<Uuid>,
    open: Mutex<HashSet<(&'static str, Uuid)>>,
    changed: Notify,
}

impl Desk {
    fn of_run(users: &[UserRegistered]) -> Self {
        let welcomed = users.iter().filter(|user| user.email.contains('@')).map(|user| ("email", user.user_id));
        let open = welcomed.chain(users.iter().map(|user| ("crm", user.user_id))).collect();
        let of_this_run = users.iter().map(|user| user.user_id).collect();
        Self(Arc::new(DeskState { of_this_run, open: Mutex::new(open), changed: Notify::new() }))
    }

    fn say(&self, group: &str, user: &UserRegistered, what: &str) {
        let earlier = if self.0.of_this_run.contains(&user.user_id) { "" } else { "  (left by an earlier run)" };
        println!("{group:<9}  {}  {:<18} {what}{earlier}", user.user_id, user.email);
    }

    fn done(&self, group: &'static str, user: Uuid) {
        self.0.open.lock().expect("no panic while it is held").remove(&(group, user));
        self.0.changed.notify_one();
    }

    async fn all_done(&self) {
        while !self.0.open.lock().expect("no panic while it is held").is_empty() {
            self.0.changed.notified().await;
        }
    }
}

/// `RUST_LOG=gulo=debug` shows what the bus does; the default shows errors only.
pub fn log_to_stderr() {
    let unless_said = tracing_subscriber::filter::LevelFilter::ERROR.into();
    let filter = tracing_subscriber::EnvFilter::builder().with_default_directive(unless_said).from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
