//! Delivery reports are served by the thread of the publisher, and by who hands over a large batch meanwhile. A message that
//! is freed where it was made costs a good part less than on another core, whose memory allocator has to ask for each.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::Thread;

use super::wire::{Desk, Wire};

/// Messages that are handed over between two looks at the reports.
const BETWEEN: usize = 64;

/// Who looks at the reports.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    /// How many hand over, and look themselves.
    present: AtomicUsize,
    /// Reports have come while they did, of which the thread knows nothing.
    missed: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Attendance {
    /// The thread that looks where nobody else does.
    pub(super) fn is_served_by(&self, thread: Thread) {
        self.thread.get_or_init(|| thread);
    }

    /// Reports have come.
    pub(super) fn alarm(&self) {
        // First this and then that, and the other way round in `leave`: one of the two sees the other.
        self.missed.store(true, SeqCst);
        if self.present.load(SeqCst) == 0 {
            self.wake();
        }
    }

    fn leave(&self) {
        self.present.fetch_sub(1, SeqCst);
        if self.missed.swap(false, SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// Somebody who hands over a batch.
pub(super) struct Attending<'w> {
    desk: &'w Desk,
    wire: Option<&'w Wire>,
    handed: usize,
    present: bool,
}

impl<'w> Attending<'w> {
    pub(super) fn new(desk: &'w Desk, wire: Option<&'w Wire>) -> Self {
        Self { desk, wire, handed: 0, present: false }
    }

    /// Before each message. A few messages are not worth it.
    pub(super) fn look(&mut self) {
        self.handed += 1;
        let Some(wire) = self.wire.filter(|_| self.handed.is_multiple_of(BETWEEN)) else { return };
        if !self.present {
            self.desk.attendance.present.fetch_add(1, SeqCst);
            self.present = true;
        }
        wire.serve_some(self.desk);
    }

    /// Before each wait: nobody knows how long that takes.
    pub(super) fn pause(&mut self) {
        if std::mem::take(&mut self.present) {
            self.desk.attendance.leave();
        }
    }
}

impl Drop for Attending<'_> {
    fn drop(&mut self) {
        self.pause();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    /// How long a thread that serves sleeps, of ten seconds.
    fn sleeps(meanwhile: impl FnOnce(&Attendance)) -> Duration {
        let attendance = Arc::new(Attendance::default());
        let served = attendance.clone();
        let (ready, begun) = std::sync::mpsc::channel();
        let sleeper = thread::spawn(move || {
            served.is_served_by(thread::current());
            ready.send(()).unwrap();
            let since = Instant::now();
            thread::park_timeout(Duration::from_secs(10));
            since.elapsed()
        });
        begun.recv().unwrap();
        meanwhile(&attendance);
        sleeper.join().unwrap()
    }

    #[test]
    fn reports_that_come_while_nobody_hands_over_wake_the_thread() {
        assert!(sleeps(Attendance::alarm) < Duration::from_secs(5));
    }

    #[test]
    fn reports_that_come_while_somebody_hands_over_wake_the_thread_when_that_ends() {
        let slept = sleeps(|attendance| {
            attendance.present.fetch_add(1, SeqCst);
            attendance.alarm();
            thread::sleep(Duration::from_millis(300));
            attendance.leave();
        });
        assert!((Duration::from_millis(250)..Duration::from_secs(5)).contains(&slept), "{slept:?}");
    }
}
