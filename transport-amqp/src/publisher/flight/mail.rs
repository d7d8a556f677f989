//! Where completed confirms are noted. Numbers of messages on their way lie within one window, so each has the place of its
//! remainder, and places with their wakers are used again and again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use crate::connection;

pub(super) struct Mail {
    window: u64,
    /// Of each place.
    wakers: Vec<Waker>,
    shared: Arc<Shared>,
    /// Room to be used again.
    spare: Vec<usize>,
}

#[derive(Default)]
struct Shared(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    came: Vec<usize>,
    /// The place of who is first in line: nobody can be answered before.
    first: usize,
    task: Option<Waker>,
}

struct Place {
    place: usize,
    shared: Arc<Shared>,
}

impl Wake for Place {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut inner = self.shared.lock();
        inner.came.push(self.place);
        let task = if inner.first == self.place { inner.task.take() } else { None };
        drop(inner);
        if let Some(task) = task {
            connection::wake(task);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mail {
    pub(super) fn new(window: usize) -> Self {
        Self { window: window.max(1) as u64, wakers: Vec::new(), shared: Arc::default(), spare: Vec::new() }
    }

    /// What came, and `task` is woken when the one of this number comes.
    pub(super) fn take(&mut self, first: u64, task: &Waker) -> Vec<usize> {
        let mut inner = self.shared.lock();
        inner.first = (first % self.window) as usize;
        if !inner.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            inner.task = Some(task.clone());
        }
        std::mem::replace(&mut inner.came, std::mem::take(&mut self.spare))
    }

    pub(super) fn give_back(&mut self, mut came: Vec<usize>) {
        came.clear();
        self.spare = came;
    }

    /// Who has this place where `first` is the first in line.
    pub(super) fn number(&self, place: usize, first: u64) -> u64 {
        let before = first % self.window;
        first + (place as u64 + self.window - before) % self.window
    }

    /// For the one of this number.
    pub(super) fn waker(&mut self, number: u64) -> &Waker {
        let place = (number % self.window) as usize;
        while self.wakers.len() <= place {
            let next = Place { place: self.wakers.len(), shared: self.shared.clone() };
            self.wakers.push(Arc::new(next).into());
        }
        &self.wakers[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_of_a_window_has_a_place_of_its_own() {
        let mail = Mail::new(3);
        for first in 0..7 {
            for number in first..first + 3 {
                assert_eq!(mail.number((number % 3) as usize, first), number);
            }
        }
    }

    #[test]
    fn who_is_first_in_line_wakes_and_nobody_is_forgotten() {
        let (mut mail, woken) = (Mail::new(3), Mail::new(1));
        let task: Waker = Arc::new(Place { place: 7, shared: woken.shared.clone() }).into();
        assert!(mail.take(4, &task).is_empty());
        mail.waker(5).wake_by_ref();
        assert!(woken.shared.lock().came.is_empty(), "4 is before it");
        mail.waker(4).wake_by_ref();
        assert_eq!(woken.shared.lock().came, [7]);
        assert_eq!(mail.take(4, &task), [2, 1]);
    }
}
