//! What is made of answers. Real listeners: `tests/security/hints.rs`.

use std::io::Cursor;
use std::net::TcpListener;

use super::*;

/// Answers `said` whatever is asked, and hangs up, or says nothing more.
struct Says {
    said: Cursor<Vec<u8>>,
    hangs_up: bool,
}

impl Says {
    fn new(said: &[u8]) -> Self {
        Self { said: Cursor::new(said.to_vec()), hangs_up: true }
    }

    fn silent_after(said: &[u8]) -> Self {
        Self { hangs_up: false, ..Self::new(said) }
    }
}

impl Read for Says {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.said.read(buffer)? {
            0 if !self.hangs_up => Err(io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

impl Write for Says {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn framed(rest: &[u8]) -> Vec<u8> {
    let length = u32::try_from(rest.len() + 4).unwrap().to_be_bytes();
    [&length[..], &[0, 0, 0, 1], rest].concat()
}

fn by(names: &[&str]) -> Login {
    Login::By(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn a_listener_says_whether_it_wants_a_login_and_by_what() {
    let two = [&[0, 33, 0, 0, 0, 2, 0, 13][..], b"SCRAM-SHA-512", &[0, 5], b"PLAIN"].concat();
    for (said, login) in [
        (framed(&two), Some(by(&["PLAIN", "SCRAM-SHA-512"]))),
        (framed(&[0, 34, 0, 0, 0, 0]), Some(Login::No)),
        (framed(&[0, 33]), Some(by(&[]))),
        (framed(&[0, 33, 0, 0, 0, 9, 255, 255, b'A']), Some(by(&[]))),
        (framed(&[&[0, 33, 0, 0, 0, 1, 0, 3][..], b"a\nb"].concat()), Some(by(&[]))),
        (framed(&[0, 99]), Some(Login::Untold)),
        (framed(&[0]), None),
        (framed(&two)[..12].to_vec(), None),
        (vec![0, 0, 0, 2, 0, 0, 0, 1, 0, 34], None),
        (b"\x15\x03\x03\x00\x02\x02\x50".to_vec(), None),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), None),
        (Vec::new(), None),
    ] {
        assert_eq!(super::login(Says::new(&said)), login, "{said:?}");
    }
}

/// Redpanda names its mechanisms where it wants no login, too.
#[test]
fn who_names_mechanisms_and_answers_without_a_login_wants_none() {
    let names = framed(&[&[0, 33, 0, 0, 0, 1, 0, 13][..], b"SCRAM-SHA-512"].concat());
    let metadata = [&[0, 0, 0, 18, 0, 0, 0, 2][..], &[0; 14]].concat();
    let both = [names.clone(), metadata].concat();
    assert_eq!(login(Says::new(&both)), Some(Login::No));
    assert_eq!(login(Says::new(&names)), Some(by(&["SCRAM-SHA-512"])));
    // A broker that is busy has not said that it wants one.
    assert_eq!(login(Says::silent_after(&names)), Some(Login::Untold));
}

#[test]
fn what_a_listener_wants_is_told_with_the_protocol_that_is_right() {
    let set = |right: &str| format!("set security.protocol (KAFKA_SECURITY_PROTOCOL) to {right}");
    let or_set = |right: &str| format!("name its TLS port, or {}", set(right));
    let with_login = |right: &str| set(right) + ", and sasl.mechanism (KAFKA_SASL_MECHANISM) to what it offers";
    let or_login = |right: &str| format!("name its TLS port, or {}", with_login(right));
    let plain = || by(&["PLAIN"]);
    for (tls, login, protocol, said) in [
        (true, plain(), "SSL", Some(("wants a login (PLAIN)", with_login("SASL_SSL")))),
        (true, plain(), "PLAINTEXT", Some(("wants TLS and wants a login (PLAIN)", with_login("SASL_SSL")))),
        (true, plain(), "SASL_PLAINTEXT", Some(("wants TLS", set("SASL_SSL")))),
        (true, plain(), "SASL_SSL", None),
        (true, Login::No, "PLAINTEXT", Some(("wants TLS", set("SSL")))),
        (true, Login::No, "SASL_PLAINTEXT", Some(("wants TLS and wants no login", set("SSL")))),
        (true, by(&[]), "SSL", Some(("wants a login", with_login("SASL_SSL")))),
        (true, Login::No, "SASL_SSL", Some(("wants no login", set("SSL")))),
        (true, Login::No, "SSL", None),
        (true, Login::Untold, "PLAINTEXT", Some(("wants TLS", set("SSL or SASL_SSL")))),
        (true, Login::Untold, "SASL_PLAINTEXT", Some(("wants TLS", set("SASL_SSL")))),
        (true, Login::Untold, "SASL_SSL", None),
        (false, plain(), "PLAINTEXT", Some(("wants a login (PLAIN)", with_login("SASL_PLAINTEXT")))),
        (false, plain(), "SSL", Some(("does not speak TLS and wants a login (PLAIN)", or_login("SASL_PLAINTEXT")))),
        (false, plain(), "SASL_SSL", Some(("does not speak TLS", or_set("SASL_PLAINTEXT")))),
        (false, Login::No, "SSL", Some(("does not speak TLS", or_set("PLAINTEXT")))),
        (false, Login::No, "SASL_PLAINTEXT", Some(("wants no login", set("PLAINTEXT")))),
        (false, Login::No, "PLAINTEXT", None),
        (false, Login::Untold, "SSL", Some(("does not speak TLS", or_set("PLAINTEXT")))),
        (false, Login::Untold, "SASL_PLAINTEXT", None),
    ] {
        let refused = Listener { tls, login }.refuses(protocol, "Kafka at h:1");
        assert!(refused.as_ref().is_none_or(|error| error.kind() == ErrorKind::Config));
        let said = said.map(|(wants, help)| format!("Kafka at h:1: the listener {wants} ({help})"));
        assert_eq!(refused.map(|error| error.to_string()), said, "{protocol}");
    }
}

#[test]
fn who_is_not_there_or_not_kafka_says_nothing() {
    assert_eq!(ask("127.0.0.1:1,nonsense,[::1]:1"), None);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let hangs_up = std::thread::spawn(move || listener.incoming().take(2).for_each(drop));
    assert_eq!(ask(&address.to_string()), None);
    hangs_up.join().unwrap();
}

/// Each byte comes in time, and there is no end to them.
#[test]
fn who_answers_for_ever_is_not_listened_to_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut sent = stream.write_all(&[0, 0, 255, 255, 0, 0, 0, 1]);
                while sent.is_ok() {
                    std::thread::sleep(Duration::from_millis(100));
                    sent = stream.write_all(&[0]);
                }
            });
        }
    });
    let (done, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(ask(&address)));
    assert_eq!(asked.recv_timeout(Duration::from_secs(10)), Ok(None));
}
