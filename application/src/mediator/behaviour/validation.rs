//! Requests that say what is wrong with them.

use super::super::error::RequestError;
use super::{Behaviour, View};

/// Refuses requests that [say](crate::mediator::Request::validate) that something is wrong with them, before their
/// handlers see them: all that is wrong, in one error of kind
/// [`Invalid`](crate::mediator::RequestErrorKind::Invalid).
#[derive(Debug, Clone, Copy, Default)]
pub struct Validation;

impl Behaviour for Validation {
    fn admit(&self, request: &View<'_>) -> Result<(), RequestError> {
        let problems = request.problems();
        if problems.is_empty() { Ok(()) } else { Err(request.invalid(problems)) }
    }
}
