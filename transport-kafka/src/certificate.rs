//! Why a broker's certificate is refused. librdkafka says the same words for a foreign CA, for one that has expired and for
//! another host's. So once it has said them, the broker is asked for its certificate once more, by ourselves, and nothing else is
//! said to it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslConnectorBuilder, SslMethod, SslVerifyMode};
use openssl::x509::{X509, X509Ref, X509StoreContextRef};

use crate::context::lock;
use crate::listener;

/// In librdkafka's words, which are OpenSSL's.
const REFUSED: &str = "certificate verify failed";

/// In ours.
pub(crate) const PLAIN: &str = "the listener answers without TLS";

// OpenSSL's numbers, X509_V_ERR_..
const NOT_YET_VALID: i32 = 9;
const HAS_EXPIRED: i32 = 10;
const OF_NO_KNOWN_CA: [i32; 4] = [18, 19, 20, 21];
const REVOKED: i32 = 23;
const OF_ANOTHER_HOST: [i32; 2] = [62, 64];

// What is said of a certificate, by which it is known what to do.
pub(crate) const EXPIRED: &str = "has expired";
pub(crate) const TOO_NEW: &str = "is not valid yet";
pub(crate) const FOREIGN: &str = "is of no CA in";
pub(crate) const ELSEWHERE: &str = "not for";

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
    let stream = listener::connect(&host, port)?;
    // That it fails is what we are here for; what counts is what the callback was told.
    let connection = builder.build().configure().ok()?.verify_hostname(!trust.any_host);
    drop(connection.connect(&host, stream));
    lock(&found).take()
}

/// What librdkafka said, with what is wrong instead of what may be.
pub(crate) fn explained(said: &str, trust: &Trust) -> Option<String> {
    let (broker, _) = said.split_once(": ")?;
    match complaint(said, trust) {
        Some(complaint) => Some(format!("{broker}: {REFUSED}: {complaint}")),
        None => is_plain(said).then(|| format!("{broker}: {PLAIN}")),
    }
}

/// Whether the listener that librdkafka complained of in `said` answers without TLS. Blocks, for some seconds at most.
pub(crate) fn is_plain(said: &str) -> bool {
    address(said).is_some_and(|(host, port)| listener::is_plain(&host, port))
}

/// Whether librdkafka complains of a certificate. It says so under more than one code.
pub(crate) fn is_refused(said: &str) -> bool {
    said.contains(REFUSED)
}

/// `ssl://host:9093/bootstrap: SSL handshake failed: ..`
pub(crate) fn address(said: &str) -> Option<(String, u16)> {
    let (_, rest) = said.split_once("ssl://")?;
    let (host, port) = rest.split_once('/')?.0.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port.parse().ok()?))
}

fn in_words(context: &X509StoreContextRef, host: &str, trusted: &str) -> String {
    let error = context.error();
    let certificate = context.current_cert();
    match error.as_raw() {
        HAS_EXPIRED => match certificate {
            Some(certificate) if context.error_depth() > 0 => {
                format!("a CA of its certificate {EXPIRED}: {}", certificate.not_after())
            }
            Some(certificate) => format!("its certificate {EXPIRED}: {}", certificate.not_after()),
            None => format!("its certificate {EXPIRED}"),
        },
        NOT_YET_VALID => format!("its certificate {TOO_NEW}"),
        code if OF_NO_KNOWN_CA.contains(&code) => format!("its certificate {FOREIGN} {trusted}"),
        code if OF_ANOTHER_HOST.contains(&code) => match certificate.map(names) {
            Some(names) if !names.is_empty() => {
                format!("its certificate is for {}, {ELSEWHERE} {host}", names.join(", "))
            }
            _ => format!("its certificate is {ELSEWHERE} {host}"),
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
