//! Who is at the other end of a connection that ends while TLS is spoken of.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::*;

/// Something that takes connections, says this and hangs up.
fn peer(says: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut asked = [0; 14];
            // TLS begins with 0x16, which is no length of a request.
            if stream.read_exact(&mut asked).is_ok() && asked[0] == 0 {
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
