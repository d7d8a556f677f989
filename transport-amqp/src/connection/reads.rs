//! One wake for all that one read brings. lapin wakes who waits at the first delivery or confirm of many that it has read: that
//! one finds it, waits again, and is woken by the next, a change of threads for each. So on lapin's own thread, which reads and
//! tells, a wake waits until it reads again, and it is asked to do that at once: by then all is told.

#[cfg(test)]
pub(crate) mod tests;

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use futures_util::io::{AsyncRead, AsyncWrite};

thread_local!(static HELD: RefCell<Held> = RefCell::default());

/// Wakes that wait, of this thread.
#[derive(Debug, Default)]
struct Held {
    /// Makes lapin read. `None` on a thread that is not lapin's.
    reader: Option<Waker>,
    /// Until lapin reads again.
    soon: Vec<Waker>,
    /// Until something has come.
    later: Vec<Waker>,
    /// Something has come since those were last woken.
    came: bool,
    /// It came just now, and is not told.
    untold: bool,
    /// lapin is at writing, and tells of nothing but that.
    writes: bool,
}

impl Held {
    /// lapin reads: what came before has been told, unless it came just now.
    fn take(&mut self, reader: &Waker) -> (Vec<Waker>, Vec<Waker>) {
        if !self.reader.as_ref().is_some_and(|known| known.will_wake(reader)) {
            self.reader = Some(reader.clone());
        }
        self.writes = false;
        let told = self.came && !std::mem::take(&mut self.untold);
        let later = if told { std::mem::take(&mut self.later) } else { Vec::new() };
        self.came &= !told;
        (std::mem::take(&mut self.soon), later)
    }

    /// After a read; whether lapin must be asked to read again.
    fn has_read(&mut self, came: bool) -> bool {
        self.came |= came;
        self.untold |= came;
        self.came && !self.later.is_empty()
    }
}

impl Drop for Held {
    /// With its thread: nobody may wait for ever.
    fn drop(&mut self) {
        self.soon.drain(..).chain(self.later.drain(..)).for_each(Waker::wake);
    }
}

/// Wakes, on lapin's thread when all is told of what it has read.
pub(crate) fn wake(waker: Waker) {
    hold(waker, false);
}

fn hold(waker: Waker, later: bool) {
    let mut waker = Some(waker);
    // Of a thread that ends it is not known; then, and on any other thread, it wakes at once.
    let reader = HELD.try_with(|held| {
        let mut held = held.try_borrow_mut().ok()?;
        // What is told while it reads has come: it may be the end of what is waited for.
        let later = later && held.writes;
        let ask = if later || !held.soon.is_empty() { None } else { Some(held.reader.clone()?) };
        if held.reader.is_some() {
            let list = if later { &mut held.later } else { &mut held.soon };
            list.extend(waker.take());
        }
        ask
    });
    if let Ok(Some(reader)) = reader {
        reader.wake();
    }
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A waker that is told by [`wake`], kept as long as it is for the same task.
#[derive(Debug, Default)]
pub(crate) struct Gently(Option<(Waker, Waker)>);

struct Soon(Waker);
struct Later(Waker);

impl Wake for Soon {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        hold(self.0.clone(), false);
    }
}

impl Wake for Later {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        hold(self.0.clone(), true);
    }
}

impl Gently {
    /// For who waits for what comes.
    pub(crate) fn soon(&mut self, task: &Waker) -> &Waker {
        self.with(task, |task| Arc::new(Soon(task)).into())
    }

    /// For who waits for something that means nothing to it before something else comes.
    pub(crate) fn later(&mut self, task: &Waker) -> &Waker {
        self.with(task, |task| Arc::new(Later(task)).into())
    }

    fn with(&mut self, task: &Waker, make: impl FnOnce(Waker) -> Waker) -> &Waker {
        let known = self.0.take().filter(|(known, _)| known.will_wake(task));
        &self.0.insert(known.unwrap_or_else(|| (task.clone(), make(task.clone())))).1
    }
}

/// lapin's way to the broker, which notices when lapin reads.
#[derive(Debug)]
pub(crate) struct Noticed<S>(pub(crate) S);

fn read(
    cx: &mut Context<'_>,
    read: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    // A wake may drop what waits, which may wake others: not while the list is held.
    let (soon, later) = HELD.with_borrow_mut(|held| held.take(cx.waker()));
    soon.into_iter().chain(later).for_each(Waker::wake);
    let read = read(cx);
    if HELD.with_borrow_mut(|held| held.has_read(read.is_ready())) {
        cx.waker().wake_by_ref();
    }
    read
}

impl<S: AsyncRead + Unpin> AsyncRead for Noticed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        read(cx, |cx| Pin::new(&mut self.0).poll_read(cx, buffer))
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        read(cx, |cx| Pin::new(&mut self.0).poll_read_vectored(cx, buffers))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noticed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        writes();
        Pin::new(&mut self.0).poll_write(cx, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        writes();
        Pin::new(&mut self.0).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        leave();
        Pin::new(&mut self.0).poll_close(cx)
    }
}

impl<S> Drop for Noticed<S> {
    fn drop(&mut self) {
        leave();
    }
}

fn writes() {
    HELD.with_borrow_mut(|held| held.writes = true);
}

/// lapin reads no more.
fn leave() {
    let held = HELD.try_with(|held| held.try_borrow_mut().map(|mut held| std::mem::take(&mut *held)));
    drop(held);
}
