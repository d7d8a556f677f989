//! Certificates and keys, read and looked at before the wire: what TLS says of a wrong one does not say which file it is.

use std::fs;
use std::path::{Path, PathBuf};

use gulo_bus_core::{Error, ErrorKind, Result};
use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use p12_keystore::KeyStore;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::keys::called;
use super::{AmqpConfig, check};

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Text in PEM, or where it stands. Has no `Debug`: it may be a key.
#[derive(Clone)]
pub(super) enum Pem {
    File(PathBuf),
    Text(String),
}

/// What TLS needs of us.
#[derive(Clone, Default)]
pub(super) struct Tls {
    pub(super) ca: Option<Pem>,
    pub(super) certificate: Option<Pem>,
    pub(super) key: Option<Pem>,
    pub(super) pkcs12: Option<PathBuf>,
    pub(super) pkcs12_password: Option<String>,
}

impl Pem {
    /// The file, for people to see.
    pub(super) fn file(pem: &Option<Self>) -> String {
        match pem {
            Some(Self::File(file)) => file.display().to_string(),
            _ => String::new(),
        }
    }

    /// That there is text.
    pub(super) fn text(pem: &Option<Self>) -> String {
        if matches!(pem, Some(Self::Text(_))) { "***".into() } else { String::new() }
    }

    /// As an error calls it: by its two settings' names, and by the file.
    fn called(&self, file: &str, text: &str) -> String {
        match self {
            Self::File(path) => format!("{}: {}", called(file), path.display()),
            Self::Text(_) => called(text),
        }
    }

    fn read(&self, file: &str) -> Result<Vec<u8>, String> {
        match self {
            Self::File(path) => read(path, file),
            Self::Text(text) => Ok(text.clone().into_bytes()),
        }
    }
}

impl AmqpConfig {
    /// What connects with TLS, of what its files say now; `None` where there is none.
    pub(crate) fn connector(&self) -> Result<Option<RustlsConnector>> {
        if !self.is_encrypted() {
            return Ok(None);
        }
        match self.tls.connector() {
            Ok(connector) => Ok(Some(connector)),
            Err(wrong) => Err(check::problems(&[wrong]).err().unwrap_or_else(|| Error::new(ErrorKind::Config, "TLS"))),
        }
    }

    /// Whose certificates are trusted, for an error to say.
    pub(crate) fn authorities(&self) -> String {
        match &self.tls.ca {
            Some(ca) => ca.called("SSL_CAFILE", "SSL_CA_PEM"),
            None => "the system's store".into(),
        }
    }

    pub(crate) fn has_certificate(&self) -> bool {
        self.tls.certificate.is_some() || self.tls.pkcs12.is_some()
    }

    pub(super) fn wrong_tls(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.uri.is_ok() && !self.is_encrypted() {
            let unused = self.tls.said().into_iter().chain(self.is_external().then_some("AUTH_MECHANISM"));
            let text =
                |name| format!("{} would not be used: {} must begin with `amqps://`", called(name), called("URL"));
            wrong.extend(unused.map(text));
            return wrong;
        }
        if self.is_external() && !self.has_certificate() {
            let [mechanism, file, p12] = ["AUTH_MECHANISM", "SSL_CERTFILE", "SSL_PKCS12FILE"].map(called);
            wrong.push(format!("{mechanism}: EXTERNAL logs in by the client's certificate: set {file} or {p12}"));
        }
        if self.is_encrypted() {
            wrong.extend(self.tls.connector().err());
        }
        wrong
    }
}

impl Tls {
    /// The settings that say something.
    fn said(&self) -> Vec<&'static str> {
        let pem = |pem: &Option<Pem>, file, text| {
            pem.as_ref().map(|pem| if matches!(pem, Pem::File(_)) { file } else { text })
        };
        [
            pem(&self.ca, "SSL_CAFILE", "SSL_CA_PEM"),
            pem(&self.certificate, "SSL_CERTFILE", "SSL_CERT_PEM"),
            pem(&self.key, "SSL_KEYFILE", "SSL_KEY_PEM"),
            self.pkcs12.as_ref().map(|_| "SSL_PKCS12FILE"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn connector(&self) -> Result<RustlsConnector, String> {
        let trusting = match &self.ca {
            Some(ca) => RustlsConnectorConfig::default().with_parsable_certificates(authorities(ca)?),
            None => RustlsConnectorConfig::default().with_native_certs().map_err(|_| {
                format!("this system has no store of CAs: set {}, or install its ca-certificates", called("SSL_CAFILE"))
            })?,
        };
        match self.identity()? {
            None => trusting.connector_with_no_client_auth().map_err(|failure| format!("TLS: {failure}")),
            Some((chain, key)) => trusting.connector_with_single_cert(chain, key).map_err(|_| self.mismatch()),
        }
    }

    fn identity(&self) -> Result<Option<Identity>, String> {
        let [certificate, key, p12] = ["SSL_CERTFILE", "SSL_KEYFILE", "SSL_PKCS12FILE"].map(called);
        match (&self.certificate, &self.key, &self.pkcs12) {
            (None, None, None) if self.pkcs12_password.is_some() => {
                Err(format!("{} needs {p12}", called("SSL_PKCS12_PASSWORD")))
            }
            (None, None, None) => Ok(None),
            (None, None, Some(file)) => pkcs12(file, self.pkcs12_password.as_deref().unwrap_or_default()).map(Some),
            (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                Err(format!("{certificate} and {p12} both name a certificate of ours: leave one of them away"))
            }
            (Some(_), None, None) => Err(format!("{certificate} needs {key}")),
            (None, Some(_), None) => Err(format!("{key} needs {certificate}")),
            (Some(certificate), Some(key), None) => {
                let chain = certificates(certificate, "SSL_CERTFILE", "SSL_CERT_PEM")?;
                Ok(Some((chain, private_key(key)?)))
            }
        }
    }

    /// The one thing that can be wrong with two that were read.
    fn mismatch(&self) -> String {
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => format!(
                "{} is not the key of the certificate in {}: name two that were made together",
                key.called("SSL_KEYFILE", "SSL_KEY_PEM"),
                certificate.called("SSL_CERTFILE", "SSL_CERT_PEM")
            ),
            _ => format!("{}: its key is not that of its certificate", called("SSL_PKCS12FILE")),
        }
    }
}

fn read(path: &Path, setting: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|failure| match failure.kind() {
        std::io::ErrorKind::NotFound => format!("{}: there is no file {}", called(setting), path.display()),
        _ => format!("{}: {} cannot be read: {failure}", called(setting), path.display()),
    })
}

fn certificates(pem: &Pem, file: &str, text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let (said, called) = (pem.read(file)?, pem.called(file, text));
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&said).collect();
    match found {
        Ok(found) if found.is_empty() => Err(format!(
            "{called} holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`); `openssl x509 -inform der` makes it of DER"
        )),
        Ok(found) => Ok(found),
        Err(_) => Err(format!("{called} holds a certificate that cannot be read")),
    }
}

fn authorities(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = certificates(pem, "SSL_CAFILE", "SSL_CA_PEM")?;
    // What it cannot read TLS would leave out, and then trust nobody.
    let mut store = RootCertStore::empty();
    match found.iter().try_for_each(|ca| store.add(ca.clone())) {
        Ok(()) => Ok(found),
        Err(_) => Err(format!("{} holds a certificate that cannot be read", pem.called("SSL_CAFILE", "SSL_CA_PEM"))),
    }
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, String> {
    let (said, called) = (pem.read("SSL_KEYFILE")?, pem.called("SSL_KEYFILE", "SSL_KEY_PEM"));
    let holds = |words: &[u8]| said.windows(words.len()).any(|window| window == words);
    if holds(b"BEGIN ENCRYPTED PRIVATE KEY") || holds(b"Proc-Type: 4,ENCRYPTED") {
        let p12 = super::keys::called("SSL_PKCS12FILE");
        return Err(format!(
            "{called} is encrypted: `openssl pkey` takes the password away, or give both as {p12} with its password"
        ));
    }
    let problem = |error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            format!("{called} holds no private key in PEM (`-----BEGIN PRIVATE KEY-----`)")
        }
        _ => format!("{called} holds a private key that cannot be read"),
    };
    PrivateKeyDer::from_pem_slice(&said).map_err(problem)
}

fn pkcs12(file: &Path, password: &str) -> Result<Identity, String> {
    let (bytes, called) = (read(file, "SSL_PKCS12FILE")?, format!("{}: {}", called("SSL_PKCS12FILE"), file.display()));
    let opened = KeyStore::from_pkcs12(&bytes, password).map_err(|failure| match failure {
        p12_keystore::error::Error::MacError(_) => {
            format!("{called} does not open with the password of {}", super::keys::called("SSL_PKCS12_PASSWORD"))
        }
        _ => format!("{called} cannot be read as PKCS#12"),
    })?;
    let (_, found) = opened.private_key_chain().ok_or_else(|| format!("{called} holds no certificate with its key"))?;
    let chain = found.chain().iter().map(|certificate| CertificateDer::from(certificate.as_der().to_vec())).collect();
    Ok((chain, PrivateKeyDer::from(PrivatePkcs8KeyDer::from(found.key().to_vec()))))
}

#[cfg(test)]
mod tests;
