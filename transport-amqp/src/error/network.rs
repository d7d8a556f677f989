//! What is wrong on the way to the broker, before it speaks: names, ports, certificates, other protocols.

use std::io;

use gulo_bus_core::{Error, ErrorKind};
use rustls::{AlertDescription, CertificateError, InvalidMessage};

use super::IS_IT_RUNNING;
use crate::config::{AmqpConfig, called};
use crate::connection::HungUp;

/// What ended the making of a connection.
pub(super) fn unreached(cause: &io::Error, config: &AmqpConfig) -> Error {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    if let Some(failure) = cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return by_tls(failure, config);
    }
    let ended = matches!(cause.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof);
    if ended || cause.get_ref().is_some_and(|inner| inner.is::<HungUp>()) {
        return ended_early(config);
    }
    let help = match cause.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there: is it running? set AMQP_URL",
        _ if cause.to_string().contains("lookup") => "no machine of that name is known: set AMQP_URL",
        _ => IS_IT_RUNNING,
    };
    Error::new(ErrorKind::Unavailable, format!("the broker at {} cannot be reached: {cause}", config.address()))
        .help(help)
}

/// Something answers, and not in AMQP 0-9-1.
pub(super) fn no_amqp(config: &AmqpConfig) -> Error {
    let text = format!("what answers at {} does not speak AMQP 0-9-1{}", config.address(), way(config));
    Error::new(ErrorKind::Unavailable, text).help(port(config))
}

fn ended_early(config: &AmqpConfig) -> Error {
    let text = format!("what listens at {} ended the connection{} before a login", config.address(), way(config));
    Error::new(ErrorKind::Unavailable, text).help(port(config))
}

fn way(config: &AmqpConfig) -> &'static str {
    if config.is_encrypted() { " over TLS" } else { " without TLS" }
}

fn port(config: &AmqpConfig) -> &'static str {
    if config.is_encrypted() {
        "is the port right? AMQP over TLS is usually 5671; 5672 is without TLS, `amqp://` in AMQP_URL; 15672 is the management"
    } else {
        "is the port right? AMQP is usually 5672; where it wants TLS AMQP_URL begins with `amqps://`; 15672 is the management"
    }
}

fn by_tls(failure: &rustls::Error, config: &AmqpConfig) -> Error {
    let address = config.address();
    match failure {
        rustls::Error::InvalidCertificate(wrong) => by_its_certificate(wrong, config),
        rustls::Error::AlertReceived(alert) => by_alert(*alert, config),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            let text = format!("what answers at {address} does not speak TLS");
            Error::new(ErrorKind::Unavailable, text).help(port(config))
        }
        other => Error::new(ErrorKind::Unavailable, format!("no TLS with the broker at {address}: {other}"))
            .help("what its listener offers (`ssl_options`: versions, ciphers) and what TLS 1.2 and 1.3 have here do not meet"),
    }
}

fn by_its_certificate(wrong: &CertificateError, config: &AmqpConfig) -> Error {
    let (complaint, help) = match wrong {
        CertificateError::UnknownIssuer => (
            format!("its certificate is of no CA in {}", config.authorities()),
            format!(
                "set {} to a PEM file with the CA that made it; where that is the right one already, the broker does not send a CA \
                 between them",
                called("SSL_CAFILE")
            ),
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "its certificate has expired".into(),
            "it has to be renewed on the broker: no setting here mends it; or is the clock of this machine wrong?"
                .into(),
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("its certificate is not valid yet".into(), "is the clock of this machine wrong?".into())
        }
        CertificateError::NotValidForName => (format!("its certificate is not for {}", host(config)), for_this_host()),
        CertificateError::NotValidForNameContext { presented, .. } => {
            (format!("its certificate is for {}, not for {}", names(presented), host(config)), for_this_host())
        }
        other => (format!("its certificate: {other}"), "it has to be made anew on the broker".into()),
    };
    let text = format!("the broker at {} cannot be trusted: {complaint}", config.address());
    Error::new(ErrorKind::Refused, text).help(help)
}

fn for_this_host() -> String {
    "connect to a name that it is for (AMQP_URL), or have it made for this one too".into()
}

fn host(config: &AmqpConfig) -> &str {
    config.uri.as_ref().map_or("", |uri| &uri.authority.host)
}

/// rustls has them as `DnsName("rabbit")`.
fn names(presented: &[String]) -> String {
    let plain = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
    let names: Vec<String> = presented.iter().map(plain).collect();
    if names.is_empty() { "no host".into() } else { names.join(", ") }
}

/// What the broker has against us.
fn by_alert(alert: AlertDescription, config: &AmqpConfig) -> Error {
    let address = config.address();
    let refused =
        |text: &str, help: String| Error::new(ErrorKind::Refused, format!("the broker at {address} {text}")).help(help);
    let (certificate, key) = (called("SSL_CERTFILE"), called("SSL_KEYFILE"));
    match alert {
        AlertDescription::CertificateRequired => no_certificate(config),
        // So says TLS 1.2 of one that is missing.
        AlertDescription::HandshakeFailure | AlertDescription::BadCertificate if !config.has_certificate() => {
            no_certificate(config)
        }
        AlertDescription::UnknownCA | AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            refused(
                "does not trust our certificate",
                format!("{certificate}: have it made by a CA that the broker knows (`ssl_options.cacertfile`)"),
            )
        }
        AlertDescription::CertificateExpired => {
            refused("says that our certificate has expired", format!("renew {certificate} and {key}"))
        }
        other => refused(&format!("ended TLS: {other:?}"), "its log says why".into()),
    }
}

fn no_certificate(config: &AmqpConfig) -> Error {
    let text = format!("the broker at {} wants a certificate of ours, and there is none", config.address());
    let [file, key, p12] = ["SSL_CERTFILE", "SSL_KEYFILE", "SSL_PKCS12FILE"].map(called);
    Error::new(ErrorKind::Refused, text).help(format!("set {file} and {key}, or {p12}"))
}
