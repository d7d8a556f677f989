//! Who is at the other end of a connection that ends while TLS is spoken of.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicUsize;

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::X509;
use rdkafka::mocking::MockCluster;

use super::*;

/// Something that takes connections, says this and hangs up.
fn peer(says: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut asked = [0; 14];
            // TLS begins with 0x16, which is no length of a request. What librdkafka asks first is ApiVersions 3.
            if stream.read_exact(&mut asked).is_ok() && asked[0] == 0 && asked[4..8] != [0, 18, 0, 3] {
                let _ = stream.write_all(says);
            }
        }
    });
    address
}

async fn asked(address: String) -> (Error, Duration) {
    let config = KafkaConfig::new(address).property("security.protocol", "SSL").connect_timeout(Duration::from_secs(4));
    let (config, began) = (Arc::new(config), Instant::now());
    let topology = Topology { mode: TopologyMode::Check, topics: Vec::new(), groups: Vec::new() };
    let error = ensure(&config, &Arc::default(), &topology).await.unwrap_err();
    (error, began.elapsed())
}

#[tokio::test]
async fn a_listener_without_tls_is_told_at_once() {
    let (error, after) = asked(peer(&[0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(after < Duration::from_secs(4), "{after:?}: {error}");
}

/// A proxy before it, say, that has nobody to pass a connection on to.
#[tokio::test]
async fn a_broker_that_is_restarting_is_waited_for() {
    let (error, after) = asked(peer(&[])).await;
    assert!(after >= Duration::from_secs(4), "{after:?}: {error}");
}

/// One address is wrong, which is known at once, and the broker at the other one takes its time.
#[tokio::test]
async fn a_wrong_listener_beside_a_right_one_that_is_slow_is_no_reason_to_fail() {
    let brokers = MockCluster::new(1).unwrap();
    let right = with_tls(brokers.bootstrap_servers(), Duration::from_millis(700));
    let wrong = peer(&[0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    let config = KafkaConfig::new(format!("{wrong},{right}")).property("security.protocol", "SSL");
    let config = config.property("enable.ssl.certificate.verification", "false");
    let inquiry = Inquiry::open(&Arc::new(config), &Arc::default()).await.unwrap();
    let found = inquiry.topics().await;
    assert!(found.is_ok(), "{:?}", found.err());
}

/// It has restarted, or a proxy has, and more to do than to answer us.
#[tokio::test]
async fn a_listener_that_hangs_up_is_asked_now_and_then() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let ours = Arc::new(AtomicUsize::new(0));
    let count = ours.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut said = [0; 4096];
            // The first thing that we say is no TLS, as librdkafka's is. What it said unread would be a reset, and no guess.
            if stream.read(&mut said).is_ok_and(|length| length > 0 && said[0] == 0) {
                count.fetch_add(1, Relaxed);
            }
        }
    });
    let (_, after) = asked(address).await;
    let times = ours.load(Relaxed);
    assert!(after >= Duration::from_secs(4) && (2..=10).contains(&times), "{times} times in {after:?}");
}

/// `broker` behind TLS, which begins after so long. That is the address it names as its own, too: a client that learns of another one
/// leaves this one, and asks there.
fn with_tls(broker: String, after: Duration) -> String {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut certificate = X509::builder().unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls_server()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    acceptor.set_certificate(&certificate.build()).unwrap();
    let (acceptor, listener) = (acceptor.build(), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (acceptor, broker) = (acceptor.clone(), broker.clone());
            thread::spawn(move || {
                thread::sleep(after);
                let (mut client, mut broker) = (acceptor.accept(stream).ok()?, TcpStream::connect(broker).ok()?);
                // Each request is answered before the next one is heard.
                let as_it_is = |_: &mut Vec<u8>| ();
                let advertised = |answer: &mut Vec<u8>| advertise(answer, address.port());
                while pass_on(&mut client, &mut broker, as_it_is).is_ok()
                    && pass_on(&mut broker, &mut client, advertised).is_ok()
                {}
                Some(())
            });
        }
    });
    address.to_string()
}

/// In answers an address is a host and, in four bytes behind it, the port.
fn advertise(answer: &mut [u8], port: u16) {
    let host = b"127.0.0.1";
    if let Some(at) = answer.windows(host.len() + 4).position(|bytes| bytes.starts_with(host)) {
        answer[at + host.len()..][..4].copy_from_slice(&u32::from(port).to_be_bytes());
    }
}

fn pass_on(from: &mut impl Read, to: &mut impl Write, change: impl Fn(&mut Vec<u8>)) -> io::Result<()> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut rest = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    from.read_exact(&mut rest)?;
    change(&mut rest);
    to.write_all(&length)?;
    to.write_all(&rest)
}
