use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn waker() -> (Arc<Self>, Waker) {
        let count = Arc::new(Self::default());
        (count.clone(), count.into())
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// So often something comes.
pub(crate) struct Wire(pub(crate) usize);

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(left) = self.0.checked_sub(1) else { return Poll::Pending };
        self.0 = left;
        Poll::Ready(Ok(1))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// lapin's thread, its stream, and how often it was asked to read.
fn on_lapins_thread(what: impl FnOnce(Noticed<Wire>, Arc<Count>, &mut Context<'_>) + Send) {
    let run = || {
        let (asked, reader) = Count::waker();
        let (mut stream, mut cx) = (Noticed(Wire(0)), Context::from_waker(&reader));
        assert!(read(&mut stream, &mut cx).is_pending());
        what(stream, asked, &mut cx);
    };
    thread::scope(|scope| scope.spawn(run).join().expect("it ends"));
}

fn read(stream: &mut Noticed<Wire>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_read(cx, &mut [0])
}

fn write(stream: &mut Noticed<Wire>, cx: &mut Context<'_>) {
    assert!(Pin::new(stream).poll_write(cx, &[0]).is_ready());
}

#[test]
fn elsewhere_a_wake_is_a_wake() {
    let (woken, task) = Count::waker();
    wake(task.clone());
    Gently::default().soon(&task).wake_by_ref();
    Gently::default().later(&task).wake_by_ref();
    assert_eq!(woken.get(), 3);
}

#[test]
fn what_is_told_at_once_wakes_behind_the_last_of_it() {
    on_lapins_thread(|mut stream, asked, cx| {
        let (woken, task) = Count::waker();
        let mut gently = Gently::default();
        stream.0.0 = 1;
        assert!(read(&mut stream, cx).is_ready() && read(&mut stream, cx).is_pending());
        gently.soon(&task).wake_by_ref();
        wake(task.clone());
        assert_eq!((woken.get(), asked.get()), (0, 1), "asked once to read again, and nobody woken before");
        assert!(read(&mut stream, cx).is_pending());
        assert_eq!((woken.get(), asked.get()), (2, 1));
        assert!(read(&mut stream, cx).is_pending());
        assert_eq!(woken.get(), 2);
    });
}

#[test]
fn that_it_is_written_is_said_with_what_comes_next() {
    on_lapins_thread(|mut stream, asked, cx| {
        let (woken, task) = Count::waker();
        let mut gently = Gently::default();
        write(&mut stream, cx);
        gently.later(&task).wake_by_ref();
        assert_eq!((woken.get(), asked.get()), (0, 0));
        stream.0.0 = 1;
        assert!(read(&mut stream, cx).is_ready() && read(&mut stream, cx).is_pending());
        assert_eq!(woken.get(), 0, "it has come and is not told");
        assert!(asked.get() > 0);
        assert!(read(&mut stream, cx).is_pending());
        assert_eq!(woken.get(), 1);
    });
}

#[test]
fn that_it_never_will_be_written_is_said_though_nothing_comes() {
    on_lapins_thread(|mut stream, asked, cx| {
        let (woken, task) = Count::waker();
        write(&mut stream, cx);
        stream.0.0 = 1;
        assert!(read(&mut stream, cx).is_ready() && read(&mut stream, cx).is_pending());
        // The broker has closed the channel.
        Gently::default().later(&task).wake_by_ref();
        assert_eq!((woken.get(), asked.get()), (0, 1));
        assert!(read(&mut stream, cx).is_pending());
        assert_eq!(woken.get(), 1);
    });
}

#[test]
fn nobody_is_forgotten_when_lapin_ends() {
    let (woken, task) = Count::waker();
    on_lapins_thread(|mut stream, _, cx| {
        write(&mut stream, cx);
        Gently::default().later(&task).wake_by_ref();
        wake(task.clone());
        drop(stream);
        assert_eq!(woken.get(), 2);
        wake(task.clone());
        assert_eq!(woken.get(), 3, "it reads no more");
    });
    on_lapins_thread(|stream, _, _| {
        wake(task.clone());
        std::mem::forget(stream);
    });
    assert_eq!(woken.get(), 4, "with its thread");
}
