//! Which topics may be published to. To publish to an exchange that is not there, or that the user may not write to, ends the
//! channel and with it the confirms of everything on its way: so it is asked for once before, and what the broker refused is
//! not tried again at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::{Error, Result};
use tokio::time::Instant;

use crate::config::AmqpConfig;
use crate::connection::Link;
use crate::error::again;
use crate::names;
use crate::topology::{Declaring, no_such_topics};

/// For how long a refusal is believed.
const BELIEVED: Duration = Duration::from_secs(1);

/// A topic, and why nothing may be published to it.
pub(super) type Answer = (Arc<str>, Option<Error>);

#[derive(Debug, Default)]
pub(super) struct KnownTopics {
    there: HashSet<Arc<str>>,
    /// One of those: messages of a topic come behind each other.
    latest: Option<Arc<str>>,
    refused: HashMap<Arc<str>, (Instant, Error)>,
}

impl KnownTopics {
    /// `None` where nothing is known of it.
    pub(super) fn get(&mut self, topic: &Arc<str>) -> Option<Result<()>> {
        if self.latest.as_ref().is_some_and(|latest| Arc::ptr_eq(latest, topic)) {
            return Some(Ok(()));
        }
        if self.there.contains(topic) {
            self.latest = Some(topic.clone());
            return Some(Ok(()));
        }
        let (until, error) = self.refused.get(topic)?;
        (Instant::now() < *until).then(|| Err(again(error)))
    }

    /// What the broker says of `topic`: why nothing may be published to it.
    pub(super) fn note(&mut self, topic: Arc<str>, refusal: Option<Error>) {
        if let Some(error) = refusal {
            self.refuse(topic, error);
        } else {
            self.refused.remove(&topic);
            self.there.insert(topic);
        }
    }

    pub(super) fn refuse(&mut self, topic: Arc<str>, error: Error) {
        self.there.remove(&topic);
        self.latest = None;
        let now = Instant::now();
        self.refused.retain(|_, (until, _)| now < *until);
        self.refused.insert(topic, (Instant::now() + BELIEVED, error));
    }
}

/// Asks the broker why nothing may be published to `topic`. The error is that of a broker that did not answer.
pub(super) async fn ask(link: Arc<Link>, config: Arc<AmqpConfig>, topic: Arc<str>) -> Result<Answer> {
    let mut declaring = Declaring::new(&link, &config);
    if names::check_topics([&topic]).is_err() || !declaring.exchange(&topic).await? {
        let missing = no_such_topics(std::slice::from_ref(&topic));
        return Ok((topic, Some(missing)));
    }
    let refusal = declaring.refusal(&topic).await?;
    Ok((topic, refusal))
}
