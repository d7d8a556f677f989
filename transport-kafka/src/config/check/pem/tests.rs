//! Files that are there and cannot be used, to the letter.

use std::fs;
use std::path::PathBuf;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::symm::Cipher;
use openssl::x509::{X509, X509Name};

use crate::{KafkaConfig, SecurityProtocol};

/// A folder of its own for each test, gone when it is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gulo-pem-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let file = self.0.join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn ec() -> EcKey<Private> {
    EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap()
}

fn key() -> PKey<Private> {
    PKey::from_ec_key(ec()).unwrap()
}

fn certificate(key: &PKey<Private>) -> X509 {
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "orders").unwrap();
    let (name, mut builder) = (name.build(), X509::builder().unwrap());
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}

fn pem(key: &PKey<Private>) -> Vec<u8> {
    key.private_key_to_pem_pkcs8().unwrap()
}

fn told(variables: &[(&str, &str)]) -> String {
    let ssl = [("KAFKA_SECURITY_PROTOCOL", "SSL")];
    let config = KafkaConfig::default().with_variables(ssl.iter().chain(variables).copied()).unwrap();
    match config.check() {
        Ok(()) => String::new(),
        Err(error) => error.to_string().replacen("the configuration of Kafka: ", "", 1),
    }
}

#[test]
fn a_file_of_cas_without_one_is_named() {
    let (folder, ours) = (Folder::new("ca"), key());
    let good = certificate(&ours).to_pem().unwrap();
    let no_pem = |file: &str| {
        format!(
            "KAFKA_SSL_CAFILE (`ssl.ca.location`): {file} holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`); \
             `openssl x509 -inform der` makes it of DER"
        )
    };
    for (name, text) in
        [("empty.pem", Vec::new()), ("key.pem", pem(&ours)), ("ca.der", certificate(&ours).to_der().unwrap())]
    {
        let file = folder.put(name, text);
        assert_eq!(told(&[("KAFKA_SSL_CAFILE", &file)]), no_pem(&file));
    }
    let file = folder.put("torn.pem", &good[..good.len() / 2]);
    let says = "holds a certificate that cannot be read";
    assert_eq!(told(&[("KAFKA_SSL_CAFILE", &file)]), format!("KAFKA_SSL_CAFILE (`ssl.ca.location`): {file} {says}"));
    // As librdkafka takes them: a key before it, words before it, lists alone, as systems keep those that
    // they trust, a folder.
    let trusted = String::from_utf8(good.clone()).unwrap().replace(" CERTIFICATE", " TRUSTED CERTIFICATE").into_bytes();
    let revoked = "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n";
    for (name, text) in [
        ("broker.pem", [pem(&ours), good.clone()].concat()),
        ("words.pem", [b"subject=CN = ca\n".to_vec(), good.clone()].concat()),
        ("crl.pem", revoked.into()),
        ("trusted.pem", trusted),
    ] {
        assert_eq!(told(&[("KAFKA_SSL_CAFILE", &folder.put(name, text))]), "", "{name}");
    }
    assert_eq!(told(&[("KAFKA_SSL_CAFILE", folder.0.to_str().unwrap())]), "");
    let text = "KAFKA_SSL_CA_PEM (`ssl.ca.pem`) holds no certificate in PEM";
    assert!(told(&[("KAFKA_SSL_CA_PEM", "hunter2")]).starts_with(text));
    assert!(!told(&[("KAFKA_SSL_CA_PEM", "hunter2")]).contains("hunter2"));
}

#[test]
fn a_key_that_is_not_of_its_certificate_is_named_with_both() {
    let (folder, ours, other) = (Folder::new("pair"), key(), key());
    let (crt, own) = (folder.put("a.crt", certificate(&ours).to_pem().unwrap()), folder.put("a.key", pem(&ours)));
    let foreign = folder.put("b.key", pem(&other));
    assert_eq!(told(&[("KAFKA_SSL_CERTFILE", &crt), ("KAFKA_SSL_KEYFILE", &own)]), "");
    assert_eq!(
        told(&[("KAFKA_SSL_CERTFILE", &crt), ("KAFKA_SSL_KEYFILE", &foreign)]),
        format!(
            "KAFKA_SSL_KEYFILE (`ssl.key.location`): {foreign} is not the key of the certificate in KAFKA_SSL_CERTFILE \
             (`ssl.certificate.location`): {crt}: name two that were made together"
        )
    );
    assert_eq!(
        told(&[("KAFKA_SSL_CERTFILE", &own), ("KAFKA_SSL_KEYFILE", &own)]),
        format!(
            "KAFKA_SSL_CERTFILE (`ssl.certificate.location`): {own} holds no certificate in PEM \
             (`-----BEGIN CERTIFICATE-----`); `openssl x509 -inform der` makes it of DER"
        )
    );
    assert_eq!(
        told(&[("KAFKA_SSL_CERTFILE", &crt), ("KAFKA_SSL_KEYFILE", &crt)]),
        format!(
            "KAFKA_SSL_KEYFILE (`ssl.key.location`): {crt} holds no private key in PEM (`-----BEGIN PRIVATE KEY-----`)"
        )
    );
    let trusted = String::from_utf8(fs::read(&crt).unwrap()).unwrap().replace(" CERTIFICATE", " TRUSTED CERTIFICATE");
    let trusted = folder.put("trusted.crt", trusted);
    assert_eq!(told(&[("KAFKA_SSL_CERTFILE", &trusted), ("KAFKA_SSL_KEYFILE", &own)]), "");
    assert!(told(&[("KAFKA_SSL_CERTFILE", &trusted), ("KAFKA_SSL_KEYFILE", &foreign)]).contains("is not the key of"));
    // librdkafka reads both where both are said.
    let text = String::from_utf8(pem(&ours)).unwrap();
    let both = |file| told(&[("KAFKA_SSL_CERTFILE", &crt), ("KAFKA_SSL_KEYFILE", file), ("KAFKA_SSL_KEY_PEM", &text)]);
    assert_eq!(both(&own), "");
    assert!(both(&foreign).starts_with("KAFKA_SSL_KEYFILE") && both(&foreign).contains("is not the key of"));
    let text = String::from_utf8(pem(&other)).unwrap();
    assert_eq!(
        told(&[("KAFKA_SSL_CERTFILE", &crt), ("KAFKA_SSL_KEY_PEM", &text)]),
        format!(
            "KAFKA_SSL_KEY_PEM (`ssl.key.pem`) is not the key of the certificate in KAFKA_SSL_CERTFILE \
             (`ssl.certificate.location`): {crt}: name two that were made together"
        )
    );
    let torn = folder.put("torn.key", text.replace("\nM", "\n!"));
    assert_eq!(
        told(&[("KAFKA_SSL_CERTFILE", &crt), ("KAFKA_SSL_KEYFILE", &torn)]),
        format!("KAFKA_SSL_KEYFILE (`ssl.key.location`): {torn} holds a private key that cannot be read")
    );
}

#[test]
fn a_key_with_a_password_is_asked_for_it_by_the_variable() {
    let (folder, ec) = (Folder::new("locked"), ec());
    let ours = PKey::from_ec_key(ec.clone()).unwrap();
    let crt = folder.put("a.crt", certificate(&ours).to_pem().unwrap());
    let (cipher, secret) = (Cipher::aes_256_cbc(), b"s3cr3t-s3cr3t");
    for (name, text) in [
        ("pkcs8.key", ours.private_key_to_pem_pkcs8_passphrase(cipher, secret).unwrap()),
        ("old.key", ec.private_key_to_pem_passphrase(cipher, secret).unwrap()),
    ] {
        let key = folder.put(name, text);
        let with = |password: &str| {
            told(&[("KAFKA_SSL_CERTFILE", &crt), ("KAFKA_SSL_KEYFILE", &key), ("KAFKA_SSL_KEY_PASSWORD", password)])
        };
        let called = format!("KAFKA_SSL_KEYFILE (`ssl.key.location`): {key}");
        let asks = "is encrypted: set KAFKA_SSL_KEY_PASSWORD (`ssl.key.password`) to its password";
        assert_eq!(with(""), format!("{called} {asks}"));
        let wrong = "does not open with the password of KAFKA_SSL_KEY_PASSWORD (`ssl.key.password`)";
        for password in ["hunter2-hunter2".to_owned(), "hunter2".repeat(1000)] {
            assert_eq!(with(&password), format!("{called} {wrong}"));
        }
        assert_eq!(with("s3cr3t-s3cr3t"), "");
        let config = KafkaConfig::new("b").security_protocol(SecurityProtocol::Ssl).ssl_certificate(&crt, &key);
        let text = config.check().unwrap_err().to_string();
        let asks = "is encrypted: set the property `ssl.key.password` to its password";
        assert_eq!(
            text,
            format!("the configuration of Kafka: `KafkaConfig::ssl_certificate` (`ssl.key.location`): {key} {asks}")
        );
    }
}

#[cfg(unix)]
#[test]
fn a_key_that_somebody_else_keeps_is_theirs_to_read() {
    let (folder, ours) = (Folder::new("kept"), key());
    let crt = folder.put("a.crt", certificate(&ours).to_pem().unwrap());
    let kept = folder.put("tpm.key", "-----BEGIN TSS2 PRIVATE KEY-----\nMIIB\n-----END TSS2 PRIVATE KEY-----\n");
    let files = [("KAFKA_SSL_CERTFILE", &*crt), ("KAFKA_SSL_KEYFILE", &*kept)];
    assert!(told(&files).ends_with("holds a private key that cannot be read"));
    assert_eq!(told(&[&files[..], &[("KAFKA_SSL_PROVIDERS", "tpm2")]].concat()), "");
}
