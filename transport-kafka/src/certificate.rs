//! Why a broker's certificate is refused. librdkafka says the same words for a foreign CA, for one that has expired and for
//! another host's. So once it has said them, the broker is asked for its certificate once more, by ourselves, and nothing else is
//! said to it.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslConnectorBuilder, SslMethod, SslVerifyMode};
use openssl::x509::{X509, X509Ref, X509StoreContextRef};

use crate::context::lock;

/// In librdkafka's words, which are OpenSSL's.
const REFUSED: &str = "certificate verify failed";

/// For each step. Whoever waits has waited already.
const PATIENCE: Duration = Duration::from_secs(1);

// OpenSSL's numbers, X509_V_ERR_..
const NOT_YET_VALID: i32 = 9;
const HAS_EXPIRED: i32 = 10;
const OF_NO_KNOWN_CA: [i32; 4] = [18, 19, 20, 21];
const REVOKED: i32 = 23;
const OF_ANOTHER_HOST: [i32; 2] = [62, 64];

/// Whose certificates are good.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust {
    /// A file or folder with CAs.
    pub(crate) location: Option<String>,
    /// CAs as text.
    pub(crate) pem: Option<String>,
    /// Whether a certificate may be for another host than it comes from.
    pub(crate) any_host: bool,
}

impl Trust {
    /// What librdkafka trusts too.
    fn teach(&self, builder: &mut SslConnectorBuilder) -> Result<(), ErrorStack> {
        for ca in X509::stack_from_pem(self.pem.as_deref().unwrap_or_default().as_bytes())? {
            builder.cert_store_mut().add_cert(ca)?;
        }
        match self.location.as_deref().map(Path::new) {
            Some(folder) if folder.is_dir() => builder.load_verify_locations(None, Some(folder)),
            Some(file) => builder.load_verify_locations(Some(file), None),
            None if self.pem.is_some() => Ok(()),
            None => builder.set_default_verify_paths(),
        }
    }

    fn called(&self) -> &str {
        let pem = self.pem.as_ref().map(|_| "ssl.ca.pem");
        self.location.as_deref().or(pem).unwrap_or("the system's store")
    }
}

/// What is wrong with the certificate of the broker that librdkafka complained of in `said`, in words. `None` where that cannot
/// be found out. Blocks, for some seconds at most.
pub(crate) fn complaint(said: &str, trust: &Trust) -> Option<String> {
    if !is_refused(said) {
        return None;
    }
    let (host, port) = address(said)?;
    let found = Arc::new(Mutex::new(None));
    let mut builder = SslConnector::builder(SslMethod::tls_client()).ok()?;
    trust.teach(&mut builder).ok()?;
    let (keep, expected, trusted) = (found.clone(), host.clone(), trust.called().to_owned());
    builder.set_verify_callback(SslVerifyMode::PEER, move |fine, context| {
        if !fine {
            lock(&keep).get_or_insert_with(|| in_words(context, &expected, &trusted));
        }
        fine
    });
    let stream = connect(&host, port)?;
    // That it fails is what we are here for; what counts is what the callback was told.
    let connection = builder.build().configure().ok()?.verify_hostname(!trust.any_host);
    drop(connection.connect(&host, stream));
    lock(&found).take()
}

/// What librdkafka said, with what is wrong instead of what may be.
pub(crate) fn explained(said: &str, trust: &Trust) -> Option<String> {
    let (broker, _) = said.split_once(": ")?;
    complaint(said, trust).map(|complaint| format!("{broker}: {REFUSED}: {complaint}"))
}

/// Whether the first of these addresses that takes a connection speaks TLS. Blocks, for some seconds at most.
pub(crate) fn is_asked_for_by(servers: &str) -> bool {
    let addresses = servers.split(',').filter_map(|server| {
        let (host, port) = server.trim().rsplit_once(':')?;
        let host = host.rsplit("://").next()?.trim_start_matches('[').trim_end_matches(']');
        Some((host.to_owned(), port.parse().ok()?))
    });
    let Some((host, stream)) = addresses
        .filter_map(|(host, port)| Some((connect(&host, port)?, host)))
        .map(|(stream, host)| (host, stream))
        .next()
    else {
        return false;
    };
    let Ok(mut builder) = SslConnector::builder(SslMethod::tls_client()) else { return false };
    // Nothing is said to it but hello, so who it is does not matter.
    builder.set_verify(SslVerifyMode::NONE);
    match builder.build().connect(&host, stream) {
        Ok(_) => true,
        // It has shown a certificate and wants ours.
        Err(openssl::ssl::HandshakeError::Failure(half)) => half.ssl().peer_certificate().is_some(),
        Err(_) => false,
    }
}

/// Whether the broker that librdkafka complained of in `said` speaks Kafka without TLS. Blocks, for some seconds at most.
pub(crate) fn speaks_plainly(said: &str) -> bool {
    // ApiVersions, version 0, which every broker answers before any login: length, key, version, number, no name.
    const HELLO: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
    let Some(mut stream) = address(said).and_then(|(host, port)| connect(&host, port)) else { return false };
    let mut answer = [0; 8];
    stream.write_all(&HELLO).and_then(|()| stream.read_exact(&mut answer)).is_ok() && answer[4..] == HELLO[8..12]
}

/// Whether librdkafka complains of a certificate. It says so under more than one code.
pub(crate) fn is_refused(said: &str) -> bool {
    said.contains(REFUSED)
}

/// `ssl://host:9093/bootstrap: SSL handshake failed: ..`
fn address(said: &str) -> Option<(String, u16)> {
    let (_, rest) = said.split_once("ssl://")?;
    let (host, port) = rest.split_once('/')?.0.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port.parse().ok()?))
}

fn connect(host: &str, port: u16) -> Option<TcpStream> {
    let addresses = (host, port).to_socket_addrs().ok()?;
    let stream = addresses.take(4).find_map(|address| TcpStream::connect_timeout(&address, PATIENCE).ok())?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}

fn in_words(context: &X509StoreContextRef, host: &str, trusted: &str) -> String {
    let error = context.error();
    let certificate = context.current_cert();
    match error.as_raw() {
        HAS_EXPIRED => match certificate {
            Some(certificate) => format!("its certificate has expired: {}", certificate.not_after()),
            None => "its certificate has expired".into(),
        },
        NOT_YET_VALID => "its certificate is not valid yet: is the clock of this machine right?".into(),
        code if OF_NO_KNOWN_CA.contains(&code) => format!("its certificate is of no CA in {trusted}"),
        code if OF_ANOTHER_HOST.contains(&code) => match certificate.map(names) {
            Some(names) if !names.is_empty() => format!("its certificate is for {}, not for {host}", names.join(", ")),
            _ => format!("its certificate is not for {host}"),
        },
        REVOKED => "its certificate was revoked".into(),
        _ => error.error_string().to_owned(),
    }
}

/// The hosts and addresses that a certificate is for.
fn names(certificate: &X509Ref) -> Vec<String> {
    let Some(names) = certificate.subject_alt_names() else { return Vec::new() };
    let address = |bytes: &[u8]| match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    };
    let name = |name: &openssl::x509::GeneralNameRef| {
        let host = name.dnsname().map(str::to_owned);
        host.or_else(|| name.ipaddress().and_then(address).map(|address| address.to_string()))
    };
    names.iter().filter_map(name).take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_out_of_what_librdkafka_says() {
        for (said, expected) in [
            ("ssl://127.0.0.1:9093/bootstrap: SSL handshake failed: error", Some(("127.0.0.1", 9093))),
            ("sasl_ssl://kafka-1.example:9094/1: SSL handshake failed", Some(("kafka-1.example", 9094))),
            ("sasl_ssl://[::1]:9094/1: SSL handshake failed", Some(("::1", 9094))),
            ("1/1 brokers are down", None),
            ("ssl://nonsense", None),
        ] {
            assert_eq!(address(said), expected.map(|(host, port)| (host.to_owned(), port)), "{said}");
        }
    }

    #[test]
    fn nothing_is_asked_about_other_failures() {
        assert_eq!(
            complaint("ssl://127.0.0.1:1/bootstrap: Connect failed: Connection refused", &Trust::default()),
            None
        );
        assert_eq!(complaint("ssl://127.0.0.1:1/bootstrap: certificate verify failed", &Trust::default()), None);
    }
}
