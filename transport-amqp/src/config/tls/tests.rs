//! Files that are there and cannot be used, to the letter.

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::symm::Cipher;
use openssl::x509::{X509, X509Name};

use super::*;

/// A folder of its own for each test, gone when it is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gulo-amqp-{}-{name}", std::process::id()));
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

fn key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
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
    let ca = certificate(&key()).to_pem().unwrap();
    // So that no store of the system is needed.
    let config = AmqpConfig::new("amqps://me:hunter2@h").ssl_ca_pem(String::from_utf8(ca).unwrap());
    let text = config.with_variables(variables.iter().copied()).unwrap().check();
    let text = text.map_or_else(|error| error.to_string(), |()| String::new());
    assert!(!text.contains("hunter2"), "{text}");
    text.replacen("the configuration of RabbitMQ: ", "", 1)
}

#[test]
fn a_file_of_cas_without_one_is_named() {
    let (folder, ours) = (Folder::new("ca"), key());
    let good = certificate(&ours).to_pem().unwrap();
    for (name, text) in
        [("empty.pem", Vec::new()), ("key.pem", pem(&ours)), ("ca.der", certificate(&ours).to_der().unwrap())]
    {
        let file = folder.put(name, text);
        let says =
            "holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`); `openssl x509 -inform der` makes it of DER";
        assert_eq!(told(&[("AMQP_SSL_CAFILE", &file)]), format!("AMQP_SSL_CAFILE (`ssl_ca`): {file} {says}"));
    }
    let says = "holds a certificate that cannot be read";
    let junk = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    for (name, text) in [("torn.pem", &good[..good.len() / 2]), ("junk.pem", junk.as_bytes())] {
        let file = folder.put(name, text);
        assert_eq!(told(&[("AMQP_SSL_CAFILE", &file)]), format!("AMQP_SSL_CAFILE (`ssl_ca`): {file} {says}"));
    }
    assert_eq!(told(&[("AMQP_SSL_CAFILE", "/no.pem")]), "AMQP_SSL_CAFILE (`ssl_ca`): there is no file /no.pem");
    let folder_said = folder.0.to_str().unwrap();
    assert!(told(&[("AMQP_SSL_CAFILE", folder_said)]).contains(&format!("{folder_said} cannot be read")));
    assert!(told(&[("AMQP_SSL_CA_PEM", "hunter2")]).starts_with("AMQP_SSL_CA_PEM (`ssl_ca_pem`) holds no certificate"));
    for (name, text) in [
        ("words.pem", [b"subject=CN = ca\n".to_vec(), good.clone()].concat()),
        ("both.pem", [pem(&ours), good].concat()),
    ] {
        assert_eq!(told(&[("AMQP_SSL_CAFILE", &folder.put(name, text))]), "");
    }
}

#[test]
fn a_key_that_is_not_of_its_certificate_is_named_with_both() {
    let (folder, ours) = (Folder::new("pair"), key());
    let (crt, own) = (folder.put("a.crt", certificate(&ours).to_pem().unwrap()), folder.put("a.key", pem(&ours)));
    let foreign = folder.put("b.key", pem(&key()));
    let pair = |crt: &str, key: &str| told(&[("AMQP_SSL_CERTFILE", crt), ("AMQP_SSL_KEYFILE", key)]);
    let key_of = |file: &str| format!("AMQP_SSL_KEYFILE (`ssl_certificate`): {file}");
    assert_eq!(pair(&crt, &own), "");
    assert_eq!(
        pair(&crt, &foreign),
        format!(
            "{} is not the key of the certificate in AMQP_SSL_CERTFILE (`ssl_certificate`): {crt}: name two that were made together",
            key_of(&foreign)
        )
    );
    assert_eq!(
        pair(&crt, &crt),
        format!("{} holds no private key in PEM (`-----BEGIN PRIVATE KEY-----`)", key_of(&crt))
    );
    let torn = folder.put("torn.key", String::from_utf8(pem(&ours)).unwrap().replace("\nM", "\n!"));
    assert_eq!(pair(&crt, &torn), format!("{} holds a private key that cannot be read", key_of(&torn)));
    assert_eq!(
        told(&[("AMQP_SSL_CERTFILE", &crt)]),
        "AMQP_SSL_CERTFILE (`ssl_certificate`) needs AMQP_SSL_KEYFILE (`ssl_certificate`)"
    );
    assert_eq!(
        told(&[("AMQP_SSL_KEYFILE", &own)]),
        "AMQP_SSL_KEYFILE (`ssl_certificate`) needs AMQP_SSL_CERTFILE (`ssl_certificate`)"
    );
    assert!(told(&[("AMQP_SSL_CERTFILE", &crt), ("AMQP_SSL_PKCS12FILE", "/a.p12")]).contains("leave one of them away"));
}

#[test]
fn a_key_with_a_password_is_told_with_the_two_ways_out() {
    let (folder, ours) = (Folder::new("locked"), key());
    let crt = folder.put("a.crt", certificate(&ours).to_pem().unwrap());
    let (cipher, secret) = (Cipher::aes_256_cbc(), b"s3cr3t-s3cr3t");
    let old = ours.ec_key().unwrap().private_key_to_pem_passphrase(cipher, secret).unwrap();
    for (name, text) in
        [("pkcs8.key", ours.private_key_to_pem_pkcs8_passphrase(cipher, secret).unwrap()), ("old.key", old)]
    {
        let key = folder.put(name, text);
        let text = format!(
            "AMQP_SSL_KEYFILE (`ssl_certificate`): {key} is encrypted: `openssl pkey` takes the password away, or give both as \
             AMQP_SSL_PKCS12FILE (`ssl_pkcs12`) with its password"
        );
        assert_eq!(told(&[("AMQP_SSL_CERTFILE", &crt), ("AMQP_SSL_KEYFILE", &key)]), text);
    }
}

#[test]
fn pkcs12_opens_with_its_password_and_says_so_where_it_does_not() {
    let (folder, ours) = (Folder::new("p12"), key());
    let made = Pkcs12::builder().name("a").pkey(&ours).cert(&certificate(&ours)).build2("s3cr3t").unwrap();
    let file = folder.put("a.p12", made.to_der().unwrap());
    let with =
        |file: &str, password: &str| told(&[("AMQP_SSL_PKCS12FILE", file), ("AMQP_SSL_PKCS12_PASSWORD", password)]);
    let called = format!("AMQP_SSL_PKCS12FILE (`ssl_pkcs12`): {file}");
    assert_eq!(with(&file, "s3cr3t"), "");
    let wrong = format!("{called} does not open with the password of AMQP_SSL_PKCS12_PASSWORD (`ssl_pkcs12`)");
    assert_eq!(with(&file, "hunter2"), wrong);
    assert_eq!(with(&file, ""), wrong);
    let junk = folder.put("junk.p12", "hunter2");
    assert_eq!(with(&junk, "x"), format!("AMQP_SSL_PKCS12FILE (`ssl_pkcs12`): {junk} cannot be read as PKCS#12"));
    let text = "AMQP_SSL_PKCS12_PASSWORD (`ssl_pkcs12`) needs AMQP_SSL_PKCS12FILE (`ssl_pkcs12`)";
    assert_eq!(told(&[("AMQP_SSL_PKCS12_PASSWORD", "x")]), text);
}

#[test]
fn what_would_not_be_used_is_told_with_what_would_use_it() {
    let open = || AmqpConfig::new("amqp://h");
    let text = |config: AmqpConfig| config.check().unwrap_err().to_string();
    for (config, setting) in [
        (open().ssl_ca("/a"), "AMQP_SSL_CAFILE (`ssl_ca`)"),
        (open().ssl_ca_pem("a"), "AMQP_SSL_CA_PEM (`ssl_ca_pem`)"),
        (open().ssl_pkcs12("/a", "b"), "AMQP_SSL_PKCS12FILE (`ssl_pkcs12`)"),
        (open().external(), "AMQP_AUTH_MECHANISM (`external`)"),
    ] {
        let says = "would not be used: AMQP_URL (`url`) must begin with `amqps://`";
        assert_eq!(text(config), format!("the configuration of RabbitMQ: {setting} {says}"));
    }
    let bare = text(open().url("amqps://h").external().ssl_ca("/no.pem"));
    let says = "AMQP_AUTH_MECHANISM (`external`): EXTERNAL logs in by the client's certificate: set AMQP_SSL_CERTFILE";
    assert!(bare.contains(says) && bare.contains("there is no file /no.pem"), "{bare}");
}
