//! Why a request failed.

use std::error::Error as StdError;
use std::fmt;

use gulo_bus_core::transport::Unsent;

use super::request::{Request, RequestKind};

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// What kind of failure a [`RequestError`] is: match on this, never on the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestErrorKind {
    /// Nobody handles requests of this type.
    NoHandler,
    /// The request itself is wrong: [`problems`](RequestError::problems) says how.
    Invalid,
    /// Its handler, a behaviour, or a handler of a domain event failed.
    Failed,
    /// **It was handled**, and what it led to was not published, or it is not known whether it was:
    /// [`unsent`](RequestError::unsent) says more.
    NotPublished,
}

/// Why a request failed: what kind of failure it is, and the error underneath.
///
/// ```
/// # use gulo_application::mediator::{Mediate, Mediator, Request, RequestErrorKind};
/// # struct CreateUser;
/// # impl Request for CreateUser { type Response = u64; }
/// # #[derive(Debug)] struct EmailTaken;
/// # impl std::fmt::Display for EmailTaken {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("the address is taken") }
/// # }
/// # impl std::error::Error for EmailTaken {}
/// async fn status(mediator: &Mediator) -> u16 {
///     let Err(error) = mediator.send(CreateUser).await else { return 201 };
///     match error.kind() {
///         RequestErrorKind::Invalid => 422,
///         _ if error.downcast_ref::<EmailTaken>().is_some() => 409,
///         _ => 500,
///     }
/// }
/// ```
pub struct RequestError(Box<Inner>);

struct Inner {
    kind: RequestErrorKind,
    /// What happened, to which request.
    text: String,
    problems: Vec<Problem>,
    source: Option<BoxError>,
}

impl RequestError {
    /// What kind of failure this is.
    pub fn kind(&self) -> RequestErrorKind {
        self.0.kind
    }

    /// What is wrong with the request, where that is why.
    pub fn problems(&self) -> &[Problem] {
        &self.0.problems
    }

    /// The error underneath, where it is an `E`: that of a handler.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.source.as_deref()?.downcast_ref()
    }

    /// What of a request that was handled is not published, and why.
    pub fn unsent(&self) -> Option<&Unsent> {
        self.downcast_ref()
    }

    pub(super) fn no_handler<R: Request>() -> Self {
        let called = called::<R>();
        let text = format!("nobody handles {called} (add a handler with `Mediator::builder().handle(..)`)");
        Self::new(RequestErrorKind::NoHandler, text, None)
    }

    pub(super) fn invalid((kind, name): (RequestKind, &str), problems: Vec<Problem>) -> Self {
        let said: Vec<_> = problems.iter().map(Problem::to_string).collect();
        let text = format!("{kind} `{name}` is not valid: {}", said.join("; "));
        Self(Box::new(Inner { kind: RequestErrorKind::Invalid, text, problems, source: None }))
    }

    /// `what` failed. An error of a request within this one stays what it is.
    pub(super) fn failed(what: impl fmt::Display, source: impl Into<BoxError>) -> Self {
        match source.into().downcast::<Self>() {
            Ok(within) => *within,
            Err(source) => Self::new(RequestErrorKind::Failed, format!("{what} failed: {source}"), Some(source)),
        }
    }

    pub(crate) fn not_published(problem: impl fmt::Display, source: Option<BoxError>) -> Self {
        let text = match &source {
            Some(source) => format!("{problem}: {source}"),
            None => problem.to_string(),
        };
        Self::new(RequestErrorKind::NotPublished, text, source)
    }

    fn new(kind: RequestErrorKind, text: String, source: Option<BoxError>) -> Self {
        Self(Box::new(Inner { kind, text, problems: Vec::new(), source }))
    }
}

/// ``command `CreateUser` ``.
pub(crate) fn called<R: Request>() -> String {
    format!("{} `{}`", R::KIND, R::name())
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.0.text)
    }
}

impl StdError for RequestError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // The text has said it already; what is below it has not been said.
        self.0.source.as_deref().and_then(StdError::source)
    }
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong: `email`. Empty where it is the whole.
    pub field: String,
    /// What is wrong with it: `has no @`. Never the value itself, which may be a secret.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.field {
            "" => f.write_str(&self.problem),
            field => write!(f, "{field} {}", self.problem),
        }
    }
}

/// What is wrong with a request, so that all of it is told at once. [`Request::validate`] fills it.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds that `field` has `problem`.
    pub fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.0.push(Problem { field: field.into(), problem: problem.into() });
    }

    /// Adds it where `holds` is false.
    pub fn require(&mut self, holds: bool, field: impl Into<String>, problem: impl Into<String>) {
        if !holds {
            self.add(field, problem);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}
