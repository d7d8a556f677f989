//! Certificates and keys, before librdkafka reads them: it says `PEM lib` of whatever is wrong, and not of which file.

use std::fs;
use std::path::Path;

use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

use super::{KafkaConfig, Said};

/// A certificate or a key: as an error calls it, where it stands, and what stands there.
struct Pem {
    called: String,
    said: Said,
    text: Vec<u8>,
}

impl KafkaConfig {
    /// What is wrong with the certificates and the key. Whether files are there is told elsewhere.
    pub(super) fn pem(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for name in ["ssl.ca.location", "ssl.ca.pem"] {
            wrong.extend(self.authorities(name).err());
        }
        wrong.extend(self.pair().err());
        wrong
    }

    fn authorities(&self, name: &str) -> Result<(), String> {
        match self.read(name)? {
            // Lists of what was revoked may stand there alone.
            Some(ca) if !contains(&ca.text, "BEGIN X509 CRL") => certificates(&ca).map(drop),
            _ => Ok(()),
        }
    }

    /// A certificate and its key. Where both are wrong, one is told.
    fn pair(&self) -> Result<(), String> {
        // librdkafka takes both where both are said, the text last.
        let mut last = None;
        for name in ["ssl.certificate.location", "ssl.certificate.pem"] {
            if let Some(certificate) = self.read(name)? {
                last = Some((certificates(&certificate)?, certificate.called));
            }
        }
        // What others keep may look like no key that we know.
        if ["ssl.providers", "ssl.engine.id"].iter().any(|name| self.told(name).is_some()) {
            return Ok(());
        }
        for name in ["ssl.key.location", "ssl.key.pem"] {
            if let Some(key) = self.read(name)? {
                let opened = self.open(&key)?;
                if let Some((chain, certificate)) = &last {
                    fits(chain, &opened).map_err(|why| {
                        format!("{} {why} in {certificate}: name two that were made together", key.called)
                    })?;
                }
            }
        }
        Ok(())
    }

    /// What stands in a file or in the property itself. `None` where that is not said, or is no file.
    fn read(&self, name: &str) -> Result<Option<Pem>, String> {
        let Some(said) = self.told(name) else { return Ok(None) };
        if name.ends_with(".pem") {
            return Ok(Some(Pem { called: said.called(), said: said.clone(), text: said.value.clone().into_bytes() }));
        }
        if !Path::new(&said.value).is_file() {
            return Ok(None);
        }
        let called = format!("{}: {}", said.called(), said.value);
        match fs::read(&said.value) {
            Ok(text) => Ok(Some(Pem { called, said: said.clone(), text })),
            Err(error) => Err(format!("{called} cannot be read: {error}")),
        }
    }

    /// Opens a key, with its password where it has one.
    fn open(&self, pem: &Pem) -> Result<PKey<Private>, String> {
        let called = &pem.called;
        if !contains(&pem.text, "PRIVATE KEY-----") {
            return Err(format!("{called} holds no private key in PEM (`-----BEGIN PRIVATE KEY-----`)"));
        }
        let password = self.told("ssl.key.password");
        let is_locked =
            contains(&pem.text, "BEGIN ENCRYPTED PRIVATE KEY") || contains(&pem.text, "Proc-Type: 4,ENCRYPTED");
        // Without an answer OpenSSL would ask whoever sits at the terminal.
        let opened = PKey::private_key_from_pem_callback(&pem.text, |buffer| {
            let password = password.map_or(&b""[..], |said| said.value.as_bytes());
            let Some(room) = buffer.get_mut(..password.len()) else { return Ok(0) };
            room.copy_from_slice(password);
            Ok(password.len())
        });
        opened.map_err(|_| match password {
            None if is_locked => {
                format!("{called} is encrypted: set {} to its password", pem.said.by.would_call("ssl.key.password"))
            }
            Some(password) if is_locked => format!("{called} does not open with the password of {}", password.called()),
            _ => format!("{called} holds a private key that cannot be read"),
        })
    }
}

fn certificates(pem: &Pem) -> Result<Vec<X509>, String> {
    let (called, text) = (&pem.called, String::from_utf8_lossy(&pem.text));
    // OpenSSL takes the one for the other in files: some systems keep their CAs so, with what they are trusted for behind each.
    let text = match pem.said.name.ends_with(".location") {
        true => text.replace("TRUSTED CERTIFICATE-----", "CERTIFICATE-----").into(),
        false => text,
    };
    match X509::stack_from_pem(text.as_bytes()) {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!(
            "{called} holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`); `openssl x509 -inform der` makes it of DER"
        )),
        Err(_) => Err(format!("{called} holds a certificate that cannot be read")),
    }
}

/// The first is ours, the others are those of CAs.
fn fits(chain: &[X509], key: &PKey<Private>) -> Result<(), &'static str> {
    match chain.first().map(|first| first.public_key()) {
        Some(Ok(public)) if !public.public_eq(key) => Err("is not the key of the certificate"),
        _ => Ok(()),
    }
}

fn contains(text: &[u8], words: &str) -> bool {
    text.windows(words.len()).any(|window| window == words.as_bytes())
}

#[cfg(test)]
mod tests;
