//! Several handlers of one message, each with its own outcome: one that failed is tried again alone.

use super::Recipients;
use super::attempt::Ended;
use crate::handler::{HandlerError, HandlerResult};

/// How far each handler of a message is, over all attempts.
#[derive(Debug)]
pub(crate) struct Parts(Vec<Part>);

#[derive(Debug)]
enum Part {
    /// To be called, for the first time or again; what it said last.
    Open(Option<HandlerError>),
    Done,
    /// It failed for good; it is not called again.
    Dead(HandlerError),
}

impl Parts {
    pub(super) fn of(handlers: usize) -> Self {
        Self((0..handlers).map(|_| Part::Open(None)).collect())
    }

    /// The first from `index` on that is to be called.
    pub(super) fn first_open(&self, index: usize) -> Option<usize> {
        let mut from = self.0.iter().enumerate().skip(index);
        from.find(|(_, part)| matches!(part, Part::Open(_))).map(|(index, _)| index)
    }

    pub(super) fn note(&mut self, index: usize, result: HandlerResult) {
        let Some(part) = self.0.get_mut(index) else { return };
        *part = match result {
            Ok(()) => Part::Done,
            Err(error) if error.is_permanent() => Part::Dead(error),
            Err(error) => Part::Open(Some(error)),
        };
    }

    /// Success where all are done. Else the first failure that is worth another try, or the first one; its text names all.
    pub(super) fn come_to(&mut self, handlers: &Recipients) -> Ended {
        let failed = |part: &Part| !matches!(part, Part::Done);
        let first_open = self.0.iter().position(|part| matches!(part, Part::Open(Some(_))));
        let Some(first) = first_open.or_else(|| self.0.iter().position(failed)) else {
            return (handlers.first().map_or("", |handler| handler.name()), Ok(()));
        };
        let name = |index: usize| handlers.get(index).map_or("", |handler| handler.name());
        let others = self.0.iter().enumerate().filter(|(index, part)| *index != first && failed(part));
        let others: Vec<_> =
            others.filter_map(|(index, part)| Some(format!("{}: {}", name(index), part.error()?))).collect();
        let error = self.0.get_mut(first).and_then(Part::take).unwrap_or_else(|| HandlerError::new("not handled"));
        let error = if others.is_empty() { error } else { error.beside(others.join("; ")) };
        (name(first), Err(error))
    }
}

impl Part {
    fn error(&self) -> Option<&HandlerError> {
        match self {
            Self::Done => None,
            Self::Open(error) => error.as_ref(),
            Self::Dead(error) => Some(error),
        }
    }

    /// Its error; what is dead leaves its text.
    fn take(&mut self) -> Option<HandlerError> {
        match self {
            Self::Done => None,
            Self::Open(error) => error.take(),
            Self::Dead(error) => {
                let text = HandlerError::new(error.to_string()).permanent();
                Some(std::mem::replace(error, text))
            }
        }
    }
}
