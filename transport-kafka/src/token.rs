//! Tokens for OAUTHBEARER: asked for by a task of ours before the old one ends, and given to the clients by the threads
//! that serve them. librdkafka asks for one too, on a thread that polls and must not wait; that question is not
//! answered: a client always has been given what there is.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gulo_bus_core::{Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::config::Secrets;
use crate::context::lock;

/// A token that a broker takes for a login: [RFC 7628](https://www.rfc-editor.org/rfc/rfc7628).
///
/// Shown nowhere: `Debug` has the principal and when it ends.
///
/// ```
/// # use std::time::{Duration, SystemTime};
/// # use gulo_transport_kafka::OauthToken;
/// let ends = SystemTime::now() + Duration::from_secs(3600);
/// let token = OauthToken::new("eyJhbGciOi..", "user-service", ends).extension("logicalCluster", "lkc-1");
/// assert!(!format!("{token:?}").contains("eyJ"));
/// ```
#[derive(Clone)]
pub struct OauthToken {
    pub(crate) token: String,
    pub(crate) principal: String,
    pub(crate) expires: SystemTime,
    pub(crate) extensions: Vec<(String, String)>,
}

impl OauthToken {
    /// The token (a JWT, as a rule), the principal it is for, and when it ends.
    pub fn new(token: impl Into<String>, principal: impl Into<String>, expires: SystemTime) -> Self {
        Self { token: token.into(), principal: principal.into(), expires, extensions: Vec::new() }
    }

    /// Adds a SASL extension, which some brokers want: `logicalCluster`, ..
    #[must_use]
    pub fn extension(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extensions.push((name.into(), value.into()));
        self
    }

    /// Milliseconds since 1970, as librdkafka has it.
    pub(crate) fn expires_millis(&self) -> i64 {
        let since = self.expires.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn left(&self) -> Duration {
        self.expires.duration_since(SystemTime::now()).unwrap_or_default()
    }
}

impl fmt::Debug for OauthToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (principal, expires) = (&self.principal, &self.expires);
        f.debug_struct("OauthToken").field("principal", principal).field("expires", expires).finish_non_exhaustive()
    }
}

mod login;

pub(crate) use login::Login;

type Answer = Pin<Box<dyn Future<Output = Result<OauthToken, Box<dyn StdError + Send + Sync>>> + Send>>;
type Provider = dyn Fn() -> Answer + Send + Sync;

/// How long a provider may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// A new token is asked for when this part of the old one's time is left.
const LEFT_TO_RENEW: u32 = 4;
/// Between two attempts, doubled each time.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// The tokens of all clients that are made with one configuration.
#[derive(Clone)]
pub(crate) struct Tokens(Arc<Keeper>);

struct Keeper {
    provider: Box<Provider>,
    /// What clients are given.
    current: Mutex<Option<OauthToken>>,
    /// Counts tokens: a client that was given an earlier one gets the next.
    version: AtomicU64,
    /// What the provider said last: nothing, that it failed, or that there is a token.
    said: watch::Sender<Option<Result<(), String>>>,
    /// Told when somebody waits for a token that the provider did not give.
    wanted: Arc<Notify>,
    /// Whether somebody asks for tokens.
    runs: AtomicBool,
    /// Besides the token, what a provider may quote of the configuration.
    secrets: OnceLock<Secrets>,
}

impl Tokens {
    pub(crate) fn new<F, Fut, E>(provider: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<OauthToken, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let provider = Box::new(move || -> Answer {
            let answer = provider();
            Box::pin(async move { answer.await.map_err(Into::into) })
        });
        let said = watch::Sender::new(None);
        let (current, version, runs) = (Mutex::default(), AtomicU64::new(0), AtomicBool::new(false));
        let (wanted, secrets) = (Arc::default(), OnceLock::new());
        Self(Arc::new(Keeper { provider, current, version, said, wanted, runs, secrets }))
    }

    /// Has tokens asked for from now on, where nobody does: the first time, and where the runtime that did has ended.
    fn run_on(&self, runtime: &Handle) {
        if !self.0.runs.swap(true, Ordering::AcqRel) {
            runtime.spawn(keep(Running(Arc::downgrade(&self.0))));
        }
    }

    /// Waits for a token that is valid, and has it renewed from now on.
    async fn ready(&self, deadline: Instant) -> Result<()> {
        self.run_on(&Handle::current());
        if matches!(&*self.0.said.borrow(), Some(Err(_))) {
            self.0.wanted.notify_one();
        }
        let mut said = self.0.said.subscribe();
        let valid = said.wait_for(|_| self.0.has_valid());
        if timeout_at(deadline, valid).await.is_ok() {
            return Ok(());
        }
        let text = match &*self.0.said.borrow() {
            Some(Err(said)) => format!("no token to log in to Kafka: {said}"),
            _ => "no token to log in to Kafka: the provider has not answered in time".into(),
        };
        Err(Error::new(ErrorKind::Unavailable, text).help("see what KafkaConfig::token_provider was given"))
    }

    /// The token, where a client that was given number `given` has not got it; `given` is its number then.
    pub(crate) fn newer_than(&self, given: &mut u64) -> Option<OauthToken> {
        let version = self.0.version.load(Ordering::Acquire);
        if version == *given {
            return None;
        }
        *given = version;
        lock(&self.0.current).clone()
    }

    /// Why there is no valid token, where there is none.
    pub(crate) fn trouble(&self) -> Option<String> {
        if self.0.has_valid() {
            return None;
        }
        match &*self.0.said.borrow() {
            Some(Err(said)) => Some(format!("no valid token: {said}")),
            _ => Some("no valid token: the provider has not answered yet".into()),
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

/// Says so where nobody asks any more.
struct Running(Weak<Keeper>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(keeper) = self.0.upgrade() {
            keeper.runs.store(false, Ordering::Release);
        }
    }
}

/// Asks for tokens for as long as somebody has the keeper.
async fn keep(running: Running) {
    let mut back_off = BACK_OFF.0;
    loop {
        let Some(asked) = running.0.upgrade().map(|keeper| ask(&keeper)) else { return };
        let answer = asked.await;
        let Some(keeper) = running.0.upgrade() else { return };
        let wait = match answer {
            Ok(token) => {
                back_off = BACK_OFF.0;
                keeper.take(token)
            }
            Err(said) => {
                let said = keeper.scrub(&said);
                tracing::warn!("the token provider failed, asking again in {back_off:?}: {said}");
                keeper.said.send_replace(Some(Err(said)));
                let wait = back_off;
                back_off = (back_off * 2).min(BACK_OFF.1);
                wait
            }
        };
        let wanted = keeper.wanted.clone();
        drop(keeper);
        tokio::select! {
            () = sleep(wait) => {}
            // A start that waits until it is asked again may fail although the provider is well.
            () = wanted.notified() => sleep(BACK_OFF.0.min(wait)).await,
        }
    }
}

/// In a task of its own, so that a provider that panics is one that failed.
fn ask(keeper: &Keeper) -> impl Future<Output = Result<OauthToken, String>> + use<> {
    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (keeper.provider)()));
    async move {
        let answer = asked.map_err(|_| "it panicked".to_owned())?;
        let answer = tokio::spawn(timeout(ANSWER_WITHIN, answer)).await.map_err(|_| "it panicked".to_owned())?;
        let token =
            answer.map_err(|_| format!("no answer within {ANSWER_WITHIN:?}"))?.map_err(|error| error.to_string())?;
        check(&token)?;
        Ok(token)
    }
}

/// What librdkafka would refuse: it would say so to nobody, and quote what it does not like.
fn check(token: &OauthToken) -> Result<(), String> {
    let is_text = |text: &str| text.bytes().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'));
    let is_name =
        |name: &str| !name.is_empty() && name != "auth" && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    let wrong = if token.token.is_empty() {
        "the token is empty"
    } else if token.left().is_zero() {
        "the token has expired already"
    } else if !is_text(&token.token) {
        "the token has characters that are not ASCII"
    } else if token.principal.contains('\0') {
        "the principal contains a NUL"
    } else if token.extensions.iter().any(|(name, _)| !is_name(name)) {
        "the name of an extension is not of letters, or is `auth`"
    } else if token.extensions.iter().any(|(_, value)| !is_text(value)) {
        "the value of an extension has characters that are not ASCII"
    } else {
        return Ok(());
    };
    Err(wrong.into())
}

impl Keeper {
    fn has_valid(&self) -> bool {
        lock(&self.current).as_ref().is_some_and(|token| !token.left().is_zero())
    }

    /// What a provider said, without what it was given or has given.
    fn scrub(&self, said: &str) -> String {
        let clean = self.secrets.get().map_or(Cow::Borrowed(said), |secrets| secrets.scrub(said));
        let clean = match lock(&self.current).as_ref() {
            Some(token) => clean.replace(&token.token, "***"),
            None => clean.into_owned(),
        };
        clean.replace(['\n', '\r'], " ")
    }

    /// When to ask for the next.
    fn take(&self, token: OauthToken) -> Duration {
        let left = token.left();
        *lock(&self.current) = Some(token);
        self.version.fetch_add(1, Ordering::AcqRel);
        self.said.send_replace(Some(Ok(())));
        (left - left / LEFT_TO_RENEW).max(BACK_OFF.0)
    }
}

#[cfg(test)]
mod tests;
