//! The example of a service in production, as a process: what its clients are told, whatever the broker does.

#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "../transport-kafka/tests/security/place.rs"]
#[allow(dead_code)]
mod place;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use gulo_conformance::{Mode, Proxy};
use libtest_mimic::{Arguments, Trial};
use place::{Place, place};
use uuid::Uuid;

/// The example, built: `cargo test` does so by itself only where no targets are named.
fn example() -> PathBuf {
    let build = ["build", "--quiet", "--locked", "--features", "kafka", "--example", "kafka_production"];
    let built = Command::new(env!("CARGO")).args(build).current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(built.unwrap().success(), "the example does not build");
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(|deps| deps.parent()).unwrap().join("examples/kafka_production")
}

/// The service, which is killed where a test fails.
struct Service {
    child: Child,
    address: String,
}

impl Service {
    /// With what a deployment sets (`client.env` beside the broker), by the way that can be cut.
    fn start(place: &Place) -> Self {
        let ca = place.pki("ca.pem");
        let mut command = Command::new(example());
        command.env("KAFKA_BOOTSTRAP_SERVERS", place.listener("FAULTY_ADVERTISED")).env("KAFKA_SSL_CAFILE", ca);
        for (name, value) in [
            ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
            ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
            ("KAFKA_SASL_USERNAME", "orders"),
            ("KAFKA_SASL_PASSWORD", "orders-secret"),
            ("KAFKA_SERVICE_NAME", "orders"),
            ("KAFKA_CONSUMER_GROUP_ID", &format!("billing-{}", Uuid::now_v7())),
            ("HTTP_ADDRESS", "127.0.0.1:0"),
        ] {
            command.env(name, value);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listens = |line: String| line.split_once("listening on http://").map(|(_, address)| address.to_owned());
        let address = lines.by_ref().map_while(Result::ok).find_map(listens).expect("it listens");
        // It must not wait for somebody to read what it logs.
        thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// The status, all of the head, and the body.
    fn ask(&self, head: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let length = body.len();
        let fields = "host: localhost\r\nconnection: close\r\ncontent-type: application/json";
        write!(stream, "{head} HTTP/1.1\r\n{fields}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }

    fn order(&self, customer: &str) -> (u16, String) {
        let (status, _, body) = self.ask("POST /orders", &format!(r#"{{"customer": "{customer}", "cents": 1999}}"#));
        (status, body)
    }

    fn until_ready(&self, wanted: u16) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.ask("GET /readyz", "").0 != wanted {
            assert!(Instant::now() < deadline, "waited in vain for {wanted}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn clients_are_told_what_is_known_of_their_orders() {
    let place = place();
    let (address, upstream) = (place.listener("FAULTY_ADVERTISED"), place.listener("FAULTY_UPSTREAM"));
    let proxy: Arc<Proxy> = Proxy::start(&address, upstream).unwrap();
    let service = tokio::task::spawn_blocking(move || Service::start(&place)).await.unwrap();
    service.until_ready(200);
    let (status, body) = service.order("ann");
    assert!(status == 202 && Uuid::parse_str(body.trim()).is_ok(), "{status}: {body}");
    let too_large = service.order(&"x".repeat(1_200_000));
    assert_eq!(too_large, (413, "not placed: larger than an event may be\n".to_owned()));

    proxy.set(Mode::Refuse).await;
    let begun = Instant::now();
    let (status, body) = service.order("bob");
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    let event = body.strip_prefix("not known whether it was placed: event ").map(str::trim);
    assert!(status == 504 && event.is_some_and(|event| Uuid::parse_str(event).is_ok()), "{status}: {body}");
    service.until_ready(503);

    proxy.set(Mode::Open).await;
    service.until_ready(200);
    assert_eq!(service.order("cat").0, 202);
    service.stop();
}

fn main() -> ExitCode {
    let place = place();
    let absent = place.unavailable();
    let required = std::env::var("GULO_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name.trim() == "kafka"));
    let (kind, ignored) = (absent.clone().unwrap_or_else(|| place.title()), absent.is_some() && !required);
    let case = move || match absent {
        Some(why) => Err(format!("GULO_REQUIRE names kafka: {why}").into()),
        None => {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on(clients_are_told_what_is_known_of_their_orders());
            Ok(())
        }
    };
    let trial = Trial::test("clients_are_told_what_is_known_of_their_orders", case);
    libtest_mimic::run(&Arguments::from_args(), vec![trial.with_kind(kind).with_ignored_flag(ignored)]).exit_code()
}
