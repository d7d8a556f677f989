//! What a listener wants of its clients: TLS, a login. librdkafka does not say: a broker just hangs up on who speaks otherwise,
//! as one does that restarts. So it is asked, by ourselves, and nothing that we know is said to it.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use gulo_bus_core::{Error, ErrorKind};
use openssl::ssl::{HandshakeError, SslConnector, SslMethod, SslVerifyMode};

/// For each step. Whoever waits has waited already.
const PATIENCE: Duration = Duration::from_secs(1);

/// For all that is said over one connection: who answers byte by byte could go on for ever.
const AT_MOST: Duration = Duration::from_secs(3);

/// ApiVersions 0 without a client's name, which a broker answers before any login: length, key, version, number of the request.
const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 255, 255];
/// SaslHandshake 1 without a client's name, with a mechanism that nobody has.
const SASL_HANDSHAKE: [u8; 20] = [0, 0, 0, 16, 0, 17, 0, 1, 0, 0, 0, 1, 255, 255, 0, 4, b'N', b'O', b'N', b'E'];
/// Metadata 1 of no topics, the second request: no broker that wants a login answers it before.
const METADATA: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 2, 255, 255, 0, 0, 0, 0];

// Kafka's numbers of errors.
const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
const ILLEGAL_SASL_STATE: i16 = 34;

/// What a listener wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    tls: bool,
    login: Login,
}

#[derive(Debug, PartialEq, Eq)]
enum Login {
    No,
    /// By one of these mechanisms.
    By(Vec<String>),
    /// It does not say. It may want a certificate of ours before.
    Untold,
}

/// Asks the first of these addresses that takes a connection. `None` where it is no listener of Kafka's, as far as can be told.
/// Blocks, for some seconds at most.
pub(crate) fn ask(servers: &str) -> Option<Listener> {
    let addresses = servers.split(',').filter_map(|server| {
        let (host, port) = server.trim().rsplit_once(':')?;
        let host = host.rsplit("://").next()?.trim_start_matches('[').trim_end_matches(']');
        Some((host.to_owned(), port.parse().ok()?))
    });
    let mut taken = addresses.filter_map(|(host, port)| Some((connect(&host, port)?, host, port)));
    let (stream, host, port) = taken.next()?;
    match login(stream) {
        Some(login) => Some(Listener { tls: false, login }),
        None => over_tls(&host, connect(&host, port)?),
    }
}

fn over_tls(host: &str, stream: Connection) -> Option<Listener> {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).ok()?;
    // Who it is does not matter: it is told nothing.
    builder.set_verify(SslVerifyMode::NONE);
    let login = match builder.build().connect(host, stream) {
        Ok(stream) => login(stream).unwrap_or(Login::Untold),
        // It has shown a certificate and wants ours.
        Err(HandshakeError::Failure(half)) if half.ssl().peer_certificate().is_some() => Login::Untold,
        Err(_) => return None,
    };
    Some(Listener { tls: true, login })
}

fn login(mut stream: impl Read + Write) -> Option<Login> {
    let answered = answer(&mut stream, &SASL_HANDSHAKE).ok()?;
    let (code, names) = answered.split_first_chunk()?;
    match i16::from_be_bytes(*code) {
        // Redpanda has them where it wants no login, too.
        UNSUPPORTED_SASL_MECHANISM => match answer(&mut stream, &METADATA).map_err(|error| error.kind()) {
            Ok(_) => Some(Login::No),
            Err(io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Some(Login::Untold),
            Err(_) => Some(Login::By(mechanisms(names))),
        },
        ILLEGAL_SASL_STATE => Some(Login::No),
        _ => Some(Login::Untold),
    }
}

/// Sends a request, and returns what is answered, without length and number. Fails where that is no answer to it.
fn answer(stream: &mut (impl Read + Write), request: &[u8]) -> io::Result<Vec<u8>> {
    let mut head = [0; 8];
    stream.write_all(request)?;
    stream.read_exact(&mut head)?;
    // One that speaks TLS sends an alert, or nothing. No answer that we want is as long as 64 KiB.
    let length = usize::from(u16::from_be_bytes([head[2], head[3]])).checked_sub(4);
    let length = length.filter(|_| head[..2] == [0, 0] && head[4..] == request[8..12]);
    let mut rest = vec![0; length.ok_or(io::ErrorKind::InvalidData)?];
    stream.read_exact(&mut rest)?;
    Ok(rest)
}

/// Their names, as far as they look like such: whoever answers may not be Kafka.
fn mechanisms(list: &[u8]) -> Vec<String> {
    let is_name =
        |name: &&[u8]| name.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'-');
    let (mut names, mut rest) = (Vec::new(), list.get(4..).unwrap_or_default());
    while let Some((length, after)) = rest.split_first_chunk()
        && let Some((name, after)) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        && names.len() < 8
    {
        names.extend(Some(name).filter(is_name).map(|name| String::from_utf8_lossy(name).into_owned()));
        rest = after;
    }
    // A broker has them in no order.
    names.sort();
    names
}

impl Listener {
    /// What is wrong with `protocol` there, where anything is. The error begins with `what`.
    pub(crate) fn refuses(&self, protocol: &str, what: &str) -> Option<Error> {
        let (our_tls, our_login) = (protocol.ends_with("SSL"), protocol.starts_with("SASL_"));
        let login = match &self.login {
            Login::By(_) => true,
            Login::No => false,
            Login::Untold => our_login,
        };
        if (self.tls, login) == (our_tls, our_login) {
            return None;
        }
        let wants = self.unlike(our_tls, login, our_login).join(" and ");
        // Rather than without TLS.
        let rather = if our_tls && !self.tls { "name its TLS port, or " } else { "" };
        let also = match login && !our_login {
            true => ", and sasl.mechanism (KAFKA_SASL_MECHANISM) to what it offers",
            false => "",
        };
        let right = self.right_protocol(login);
        let help = format!("{rather}set security.protocol (KAFKA_SECURITY_PROTOCOL) to {right}{also}");
        Some(Error::new(ErrorKind::Config, format!("{what}: the listener {wants}")).help(help))
    }

    fn unlike(&self, our_tls: bool, login: bool, our_login: bool) -> Vec<String> {
        let mut unlike = Vec::new();
        match (self.tls, our_tls) {
            (true, false) => unlike.push("wants TLS".to_owned()),
            (false, true) => unlike.push("does not speak TLS".to_owned()),
            _ => {}
        }
        match &self.login {
            Login::By(names) if !our_login && !names.is_empty() => {
                unlike.push(format!("wants a login ({})", names.join(", ")));
            }
            _ if login && !our_login => unlike.push("wants a login".to_owned()),
            _ if our_login && !login => unlike.push("wants no login".to_owned()),
            _ => {}
        }
        unlike
    }

    fn right_protocol(&self, login: bool) -> &'static str {
        match (self.tls, login) {
            (true, false) if self.login == Login::Untold => "SSL or SASL_SSL",
            (true, false) => "SSL",
            (true, true) => "SASL_SSL",
            (false, true) => "SASL_PLAINTEXT",
            (false, false) => "PLAINTEXT",
        }
    }
}

/// Whether there is somebody who answers as Kafka does, without TLS. Blocks, for some seconds at most.
pub(crate) fn is_plain(host: &str, port: u16) -> bool {
    connect(host, port).is_some_and(|mut stream| answer(&mut stream, &API_VERSIONS).is_ok())
}

/// Blocks, for some seconds at most; so do reading and writing then.
pub(crate) fn connect(host: &str, port: u16) -> Option<Connection> {
    let addresses = (host, port).to_socket_addrs().ok()?;
    let stream = addresses.take(4).find_map(|address| TcpStream::connect_timeout(&address, PATIENCE).ok())?;
    Some(Connection { stream, until: Instant::now() + AT_MOST })
}

/// One that ends, whatever is said over it.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    until: Instant,
}

impl Connection {
    /// For one step.
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now()).min(PATIENCE);
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests;
