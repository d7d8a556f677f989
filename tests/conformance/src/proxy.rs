//! A TCP proxy whose connections can be cut and frozen.

use std::fs::{File, TryLockError};
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{RwLock, watch};

use crate::{Break, Link};

/// What a [`Proxy`] lets pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    Open,
    /// Connections are ended, new ones refused.
    Refuse,
    /// Connections are kept, new ones taken; nothing passes.
    Freeze,
}

/// Runs on a thread of its own for as long as the process does.
#[derive(Debug)]
pub struct Proxy {
    mode: watch::Sender<Mode>,
    listening: watch::Sender<bool>,
    /// Held shared for as long as bytes are on their way: who has it alone knows that nothing passes.
    passing: RwLock<()>,
    listens: String,
    upstream: Mutex<String>,
    /// Says to other processes that the address is ours, also while nobody listens on it.
    _ours: File,
}

impl Proxy {
    /// Listens on `listens` and passes on to `upstream`. An error where another process does.
    pub fn start(listens: &str, upstream: String) -> io::Result<Arc<Self>> {
        let listener = std::net::TcpListener::bind(listens)?;
        let listens = listener.local_addr()?.to_string();
        let ours = claim(&listens)?;
        listener.set_nonblocking(true)?;
        let (mode, passing) = (watch::Sender::new(Mode::Open), RwLock::new(()));
        let (upstream, listening) = (Mutex::new(upstream), watch::Sender::new(true));
        let proxy = Arc::new(Self { mode, listening, passing, listens, upstream, _ours: ours });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serving = Arc::clone(&proxy);
        thread::Builder::new().name("proxy".into()).spawn(move || runtime.block_on(serving.serve(listener)))?;
        Ok(proxy)
    }

    /// Where it listens: host and port.
    pub fn address(&self) -> &str {
        &self.listens
    }

    /// Once this returns, nothing passes but what `mode` lets pass.
    pub async fn set(&self, mode: Mode) {
        {
            let _alone = self.passing.write().await;
            self.mode.send_replace(mode);
        }
        // Its sender is this.
        let _ = self.listening.subscribe().wait_for(|listens| *listens == (mode != Mode::Refuse)).await;
    }

    /// From the next connection on, it passes on to `upstream`.
    pub fn lead_to(&self, upstream: &str) {
        *self.upstream.lock().expect("no panic while it is held") = upstream.to_owned();
    }

    /// As [`set`](Self::set) to `Open`, from where nothing can be awaited.
    pub fn open(&self) {
        self.mode.send_replace(Mode::Open);
    }

    async fn serve(self: Arc<Self>, listener: std::net::TcpListener) {
        let mut listener = TcpListener::from_std(listener).ok();
        let mut mode = self.mode.subscribe();
        loop {
            let Some(open) = &listener else {
                let _ = mode.wait_for(|mode| *mode != Mode::Refuse).await;
                listener = TcpListener::bind(&self.listens).await.ok();
                self.listening.send_replace(listener.is_some());
                if listener.is_none() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                continue;
            };
            tokio::select! {
                biased;
                _ = mode.wait_for(|mode| *mode == Mode::Refuse) => {
                    listener = None;
                    self.listening.send_replace(false);
                }
                Ok((client, _)) = open.accept() => drop(tokio::spawn(Arc::clone(&self).connect(client))),
            }
        }
    }

    async fn connect(self: Arc<Self>, client: TcpStream) {
        let mut mode = self.mode.subscribe();
        if mode.wait_for(|mode| *mode != Mode::Freeze).await.is_ok_and(|mode| *mode == Mode::Refuse) {
            return;
        }
        let upstream = self.upstream.lock().expect("no panic while it is held").clone();
        let Ok(server) = TcpStream::connect(upstream).await else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        // Where one direction ends, both do.
        tokio::select! {
            _ = self.pass(from_client, to_server) => {}
            _ = self.pass(from_server, to_client) => {}
            _ = mode.wait_for(|mode| *mode == Mode::Refuse) => {}
        }
    }

    async fn pass(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        let (mut bytes, mut mode) = (vec![0; 64 * 1024], self.mode.subscribe());
        loop {
            let count = from.read(&mut bytes).await?;
            if count == 0 {
                return Ok(());
            }
            loop {
                let passing = self.passing.read().await;
                if *mode.borrow_and_update() == Mode::Open {
                    to.write_all(&bytes[..count]).await?;
                    break;
                }
                drop(passing);
                let _ = mode.changed().await;
            }
        }
    }
}

/// The way between a client and its broker, where that is a proxy.
#[derive(Debug)]
pub struct Way(pub Arc<Proxy>);

#[async_trait]
impl Link for Way {
    async fn cut(&self, how: Break) {
        let mode = match how {
            Break::Refuse => Mode::Refuse,
            Break::Freeze => Mode::Freeze,
        };
        self.0.set(mode).await;
    }

    async fn heal(&self) {
        self.0.set(Mode::Open).await;
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// A lock that goes with the process.
fn claim(address: &str) -> io::Result<File> {
    let name = format!("gulo-proxy-{}.lock", address.replace([':', '/', '['], "-"));
    let file = File::create(std::env::temp_dir().join(name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process uses it")),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
