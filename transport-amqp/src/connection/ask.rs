//! Why a broker ended a connection that was being made. It does so without a word where it does not know the way to log in,
//! and where it does not like our certificate: that word comes by TLS 1.3 behind the handshake, and gets lost if more was sent
//! to it meanwhile. So it is asked once more, slowly. Costs nothing where all is well.

use std::io;
use std::time::Duration;

use async_rs::TokioRuntime;
use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
use lapin::tcp::RustlsConnector;
use lapin::uri::AMQPUri;
use tokio::time::timeout;

use super::dial::{self, HungUp, Stream};

/// The longest that all of it may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Until then a broker that does not like our certificate has said so.
const VERDICT: Duration = Duration::from_millis(500);

/// More is no greeting.
const LONGEST: usize = 16_384;

/// What was found out.
#[derive(Debug)]
pub(crate) enum Found {
    /// It ends on the way.
    Ends(io::Error),
    /// The ways to log in that the broker offers.
    Mechanisms(Vec<String>),
}

/// Whether it may be found out why.
pub(super) fn is_dark(failure: &lapin::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let lapin::ErrorKind::IOError(cause) = failure.kind() else { return false };
    let hung_up = cause.get_ref().is_some_and(|inner| inner.is::<HungUp>());
    hung_up || matches!(cause.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// `None` where nothing is found out in time.
pub(super) async fn why(uri: AMQPUri, runtime: TokioRuntime, tls: Option<RustlsConnector>) -> Option<Found> {
    let asking = async {
        match ask(&uri, &runtime, tls.as_ref()).await {
            Ok(mechanisms) => mechanisms.map(Found::Mechanisms),
            Err(end) => Some(Found::Ends(end)),
        }
    };
    timeout(LIMIT, asking).await.ok().flatten()
}

async fn ask(uri: &AMQPUri, runtime: &TokioRuntime, tls: Option<&RustlsConnector>) -> io::Result<Option<Vec<String>>> {
    let mut stream = dial::connect(uri, runtime, tls).await?;
    let mut greeting = Vec::new();
    if tls.is_some()
        && let Ok(said) = timeout(VERDICT, more(&mut stream, &mut greeting)).await
    {
        said?;
    }
    stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
    stream.flush().await?;
    loop {
        more(&mut stream, &mut greeting).await?;
        let mechanisms = mechanisms(&greeting);
        if mechanisms.is_some() || greeting.len() > LONGEST {
            return Ok(mechanisms);
        }
    }
}

async fn more(stream: &mut Stream, greeting: &mut Vec<u8>) -> io::Result<()> {
    let mut bytes = [0; 2048];
    match stream.read(&mut bytes).await? {
        0 => Err(io::Error::other(HungUp)),
        count => {
            greeting.extend_from_slice(&bytes[..count]);
            Ok(())
        }
    }
}

/// Out of `Connection.Start`: a frame's head of 7 bytes, 4 of class and method, 2 of version, a table, then the mechanisms, both
/// with their lengths before them in 4 bytes.
fn mechanisms(greeting: &[u8]) -> Option<Vec<String>> {
    let sized = |at: usize| {
        let length = u32::from_be_bytes(greeting.get(at..at + 4)?.try_into().ok()?) as usize;
        Some((greeting.get(at + 4..(at + 4).checked_add(length)?)?, at + 4 + length))
    };
    if greeting.get(..3)? != [1, 0, 0] || greeting.get(7..11)? != [0, 10, 0, 10] {
        return None;
    }
    let (_, behind) = sized(13)?;
    let (names, _) = sized(behind)?;
    Some(String::from_utf8_lossy(names).split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mechanisms_are_read_out_of_a_greeting_and_out_of_nothing_else() {
        let mut greeting = vec![1, 0, 0, 0, 0, 0, 99, 0, 10, 0, 10, 0, 9, 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 14];
        greeting.extend(b"PLAIN EXTERNAL");
        assert_eq!(mechanisms(&greeting), Some(vec!["PLAIN".into(), "EXTERNAL".into()]));
        for length in 0..greeting.len() {
            assert_eq!(mechanisms(&greeting[..length]), None);
        }
        for other in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            &[255; 64],
            &[1, 0, 0, 0, 0, 0, 0, 0, 10, 0, 10, 0, 9, 255, 255, 255, 255],
        ] {
            assert_eq!(mechanisms(other), None);
        }
    }
}
