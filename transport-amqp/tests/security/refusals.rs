//! Each cause is one clear error, early, in the same words for who makes, who publishes and who reads.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use gulo_bus_core::ErrorKind;
use gulo_bus_core::transport::{TopologyMode, Transport as _};
use gulo_transport_amqp::{AmqpConfig, AmqpTransport};
use tokio::time::Instant;

use crate::place::*;

/// Whether this is a process of its own, in which the system trusts the CA of the broker.
fn is_trusted_by_the_system() -> bool {
    // Not SSL_CERT_FILE alone: some machines set it for all.
    std::env::var_os("GULO_TRUSTED_BY_THE_SYSTEM").is_some()
}

/// Runs the test of this name in such a process.
pub(crate) fn where_the_system_trusts_the_ca(name: &str) -> bool {
    if is_trusted_by_the_system() {
        return true;
    }
    let mut test = std::process::Command::new(std::env::current_exe().unwrap());
    let output = test
        .args(["--exact", name])
        .env("SSL_CERT_FILE", place().pki("ca.pem"))
        .env("GULO_TRUSTED_BY_THE_SYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    false
}

/// What all three say, of this kind, within seconds.
async fn told(config: AmqpConfig, kind: ErrorKind) -> String {
    let topic: Arc<str> = unique("refused").into();
    let begun = Instant::now();
    let transport = AmqpTransport::new(config);
    let errors = [
        transport.ensure(&topology(TopologyMode::Create, &topic, "g")).await.expect_err("refused"),
        transport.publisher().await.err().expect("refused"),
        transport.subscribe(reading(&topic)).await.err().expect("refused"),
    ];
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let [one, others @ ..] = errors.each_ref().map(ToString::to_string);
    for (error, text) in errors.iter().zip([&one, &others[0], &others[1]]) {
        assert_eq!((error.kind(), text), (kind, &one));
        assert!(!texts(error).contains("secret") && !texts(error).contains("hunter2"), "{error:?}");
    }
    one
}

fn at(listener: &str) -> String {
    place().listener(listener)
}

fn with_login(login: &str, vhost: &str) -> AmqpConfig {
    quick(&format!("amqp://{login}@{}{vhost}", at("PLAIN")))
}

const REFUSED: &str = "ACCESS_REFUSED - Login was refused using authentication mechanism";

pub(crate) async fn a_wrong_password() {
    let text = told(with_login("alice:hunter2", ""), ErrorKind::Refused).await;
    let help = "For details see the broker logfile. (user or password is wrong; both stand in AMQP_URL)";
    assert_eq!(text, format!("the broker at {} says: {REFUSED} PLAIN. {help}", at("PLAIN")));
}

pub(crate) async fn a_user_that_is_not_there() {
    for (config, help) in [
        (with_login("nobody:hunter2", ""), "both stand in AMQP_URL)"),
        (
            quick(&format!("amqp://{}", at("PLAIN"))),
            "which names none, and `guest` is let in from the broker's own machine only)",
        ),
    ] {
        let text = told(config, ErrorKind::Refused).await;
        assert!(text.contains(REFUSED) && text.ends_with(help), "{text}");
    }
}

pub(crate) async fn a_vhost_that_is_not_there() {
    let text = told(with_login("admin:admin-secret", "/shop"), ErrorKind::Refused).await;
    let help = "(there is no such vhost: it stands behind the last `/` of AMQP_URL, the vhost `/` written as `%2f`)";
    assert_eq!(text, format!("the broker at {} says: NOT_ALLOWED - vhost shop not found {help}", at("PLAIN")));
}

pub(crate) async fn a_vhost_that_is_not_for_us() {
    for (config, user, vhost) in [
        (with_login("dave:dave-secret", ""), "dave", "/"),
        (with_login("alice:alice-secret", "/second"), "alice", "second"),
    ] {
        let help = "(the user has no right on that vhost: rabbitmqctl set_permissions -p VHOST USER; or is another one meant? it \
                    stands behind the last `/` of AMQP_URL)";
        let says = format!("NOT_ALLOWED - access to vhost '{vhost}' refused for user '{user}' {help}");
        assert_eq!(told(config, ErrorKind::Refused).await, format!("the broker at {} says: {says}", at("PLAIN")));
    }
}

const FOREIGN: &str = "(set AMQP_SSL_CAFILE (`ssl_ca`) to a PEM file with the CA that made it; where that is the right one already, \
                       the broker does not send a CA between them)";

pub(crate) async fn a_ca_that_is_not_ours() {
    let other = place().pki("otherca.pem");
    let text = told(place().tls("TLS").ssl_ca(&other), ErrorKind::Refused).await;
    let complaint = format!("its certificate is of no CA in AMQP_SSL_CAFILE (`ssl_ca`): {}", other.display());
    assert_eq!(text, format!("the broker at {} cannot be trusted: {complaint} {FOREIGN}", at("TLS")));
}

/// The one that is named is trusted, and none beside it.
pub(crate) async fn a_ca_that_is_not_the_one_that_was_named() {
    if where_the_system_trusts_the_ca("refusals::a_ca_that_is_not_the_one_that_was_named") {
        a_ca_that_is_not_ours().await;
    }
}

pub(crate) async fn the_system_does_not_know_the_ca() {
    let config = quick(&format!("amqps://admin:admin-secret@{}", at("TLS")));
    let text = match std::fs::exists("/etc/ssl/certs/ca-certificates.crt") {
        Ok(true) => {
            let complaint = "its certificate is of no CA in the system's store";
            assert_eq!(
                told(config.clone(), ErrorKind::Refused).await,
                format!("the broker at {} cannot be trusted: {complaint} {FOREIGN}", at("TLS"))
            );
            return;
        }
        _ => told(config, ErrorKind::Config).await,
    };
    assert!(text.contains("this system has no store of CAs: set AMQP_SSL_CAFILE (`ssl_ca`)"), "{text}");
}

pub(crate) async fn a_certificate_that_has_expired() {
    let help = "(it has to be renewed on the broker: no setting here mends it; or is the clock of this machine wrong?)";
    let text = told(place().tls("EXPIRED"), ErrorKind::Refused).await;
    assert_eq!(text, format!("the broker at {} cannot be trusted: its certificate has expired {help}", at("EXPIRED")));
}

pub(crate) async fn a_certificate_of_another_host() {
    let help = "(connect to a name that it is for (AMQP_URL), or have it made for this one too)";
    let complaint = "its certificate is for elsewhere.test, not for 127.0.0.1";
    let text = told(place().tls("WRONG_HOST"), ErrorKind::Refused).await;
    assert_eq!(text, format!("the broker at {} cannot be trusted: {complaint} {help}", at("WRONG_HOST")));
}

pub(crate) async fn no_certificate_of_ours_where_one_is_wanted() {
    let help = "(set AMQP_SSL_CERTFILE (`ssl_certificate`) and AMQP_SSL_KEYFILE (`ssl_certificate`), or AMQP_SSL_PKCS12FILE \
                (`ssl_pkcs12`))";
    let text = told(place().tls("MTLS"), ErrorKind::Refused).await;
    assert_eq!(text, format!("the broker at {} wants a certificate of ours, and there is none {help}", at("MTLS")));
}

pub(crate) async fn a_certificate_of_ours_that_the_broker_does_not_trust() {
    let config = place().tls("MTLS").ssl_certificate(place().pki("foreign.crt"), place().pki("foreign.key"));
    let text = told(config, ErrorKind::Refused).await;
    let help = "(AMQP_SSL_CERTFILE (`ssl_certificate`): have it made by a CA that the broker knows (`ssl_options.cacertfile`))";
    assert_eq!(text, format!("the broker at {} does not trust our certificate {help}", at("MTLS")));
}

pub(crate) async fn a_certificate_of_nobody() {
    let config = place().external().ssl_certificate(place().pki("stranger.crt"), place().pki("stranger.key"));
    let text = told(config, ErrorKind::Refused).await;
    let help = "(the name in the client's certificate (`ssl_cert_login_from`) is no user: rabbitmqctl add_user)";
    assert!(text.contains(&format!("{REFUSED} EXTERNAL")) && text.ends_with(help), "{text}");
}

/// The broker waits for three seconds before it hangs up, against those who guess.
pub(crate) async fn a_way_to_log_in_that_the_broker_has_not() {
    // Without TLS there is no certificate to log in by.
    for (scheme, listener, offers) in [("amqp", "PLAIN", "PLAIN"), ("amqps", "TLS", "PLAIN, EXTERNAL")] {
        let url = format!("{scheme}://alice:alice-secret@{}?auth_mechanism=amqplain", at(listener));
        let config = if scheme == "amqps" { quick(&url).ssl_ca(place().pki("ca.pem")) } else { quick(&url) };
        let begun = Instant::now();
        let error = AmqpTransport::new(config).publisher().await.err().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        let offered = error.to_string().replace("EXTERNAL, PLAIN", "PLAIN, EXTERNAL");
        let help = "(change AMQP_AUTH_MECHANISM (`external`), or the broker's `auth_mechanisms`)";
        let says = format!("does not log in by AMQPLAIN, but by {offers} {help}");
        assert_eq!(offered, format!("the broker at {} {says}", at(listener)));
        assert_eq!(error.kind(), ErrorKind::Refused);
    }
}

pub(crate) async fn a_key_with_a_password() {
    let key = place().pki("client.locked.key");
    let text = told(place().tls("MTLS").ssl_certificate(place().pki("client.crt"), &key), ErrorKind::Config).await;
    let help =
        "`openssl pkey` takes the password away, or give both as AMQP_SSL_PKCS12FILE (`ssl_pkcs12`) with its password";
    let called = format!("AMQP_SSL_KEYFILE (`ssl_certificate`): {}", key.display());
    assert_eq!(text, format!("the configuration of RabbitMQ: {called} is encrypted: {help}"));
    let wrong = place().tls("MTLS").ssl_pkcs12(place().pki("client.p12"), "hunter2");
    let text = told(wrong, ErrorKind::Config).await;
    assert!(text.ends_with("does not open with the password of AMQP_SSL_PKCS12_PASSWORD (`ssl_pkcs12`)"), "{text}");
}

pub(crate) async fn a_key_of_another_certificate() {
    let config = place().tls("MTLS").ssl_certificate(place().pki("client.crt"), place().pki("foreign.key"));
    let text = told(config, ErrorKind::Config).await;
    assert!(text.contains("foreign.key is not the key of the certificate in") && text.contains("client.crt"), "{text}");
}

/// A port on which nobody listens.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

pub(crate) async fn a_broker_that_is_not_there() {
    let address = free();
    for scheme in ["amqp", "amqps"] {
        let config = quick(&format!("{scheme}://me:hunter2@{address}"));
        let config = if scheme == "amqps" { config.ssl_ca(place().pki("ca.pem")) } else { config };
        let text = told(config, ErrorKind::Unavailable).await;
        let says = format!("the broker at {address} cannot be reached: Connection refused (os error 111)");
        assert_eq!(text, format!("{says} (nothing listens there: is it running? set AMQP_URL)"));
    }
}

pub(crate) async fn a_host_that_is_not_there() {
    let text = told(quick("amqp://me:hunter2@no-such-host.invalid"), ErrorKind::Unavailable).await;
    assert!(text.starts_with("the broker at no-such-host.invalid:5672 cannot be reached"), "{text}");
    assert!(text.ends_with("(no machine of that name is known: set AMQP_URL)"), "{text}");
}

pub(crate) async fn no_tls_where_it_is_wanted() {
    // Who hangs up may or may not get its last word through.
    let config = || quick(&format!("amqp://admin:admin-secret@{}", at("TLS")));
    let error = AmqpTransport::new(config()).publisher().await.err().unwrap();
    let (text, address) = (error.to_string(), at("TLS"));
    let speaks = format!("what answers at {address} does not speak AMQP 0-9-1 without TLS");
    let ended = format!("what listens at {address} ended the connection without TLS before a login");
    assert!(text.starts_with(&speaks) || text.starts_with(&ended), "{text}");
    assert!(text.contains("where it wants TLS AMQP_URL begins with `amqps://`"), "{text}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

pub(crate) async fn tls_where_there_is_none() {
    let config = place().tls("TLS").url(&format!("amqps://admin:admin-secret@{}", at("PLAIN")));
    let text = told(config, ErrorKind::Unavailable).await;
    assert!(text.starts_with(&format!("what answers at {} does not speak TLS", at("PLAIN"))), "{text}");
    assert!(text.contains("5672 is without TLS, `amqp://` in AMQP_URL"), "{text}");
}

/// Listens, and says to everybody what `greeting` is; then hangs up, or waits for whoever it is to do so.
fn another(greeting: &'static [u8], hangs_up: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            drop(stream.write_all(greeting));
            if hangs_up {
                // What has come is read first: who closes before that resets the connection.
                drop(std::io::Read::read(&mut stream, &mut [0; 1024]));
            } else {
                kept.push(stream);
            }
        }
    });
    address
}

pub(crate) async fn a_port_of_another_protocol() {
    for greeting in [&b"SSH-2.0-OpenSSH_9.9\r\n"[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\x00\x01\x00\x00", b""]
    {
        let address = another(greeting, true);
        let text = told(quick(&format!("amqp://me:hunter2@{address}")), ErrorKind::Unavailable).await;
        let speaks = format!("what answers at {address} does not speak AMQP 0-9-1 without TLS");
        let ended = format!("what listens at {address} ended the connection without TLS before a login");
        assert!(text.starts_with(&speaks) || text.starts_with(&ended), "{text}");
        assert!(text.contains("(is the port right? AMQP is usually 5672"), "{text}");
        let config = quick(&format!("amqps://me:hunter2@{address}")).ssl_ca(place().pki("ca.pem"));
        let text = told(config, ErrorKind::Unavailable).await;
        assert!(text.contains(&address) && text.contains("is the port right? AMQP over TLS is usually 5671"), "{text}");
    }
}

pub(crate) async fn a_port_where_nothing_is_said() {
    for scheme in ["amqp", "amqps"] {
        let address = another(b"", false);
        let config = quick(&format!("{scheme}://me:hunter2@{address}")).connect_timeout(Duration::from_secs(1));
        let config = if scheme == "amqps" { config.ssl_ca(place().pki("ca.pem")) } else { config };
        let text = told(config, ErrorKind::TimedOut).await;
        assert!(text.starts_with(&format!("the broker at {address} did not answer within 1s")), "{text}");
    }
}
