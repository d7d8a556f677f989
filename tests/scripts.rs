//! Scripts that are called wrongly say what was wrong, at once and without doing anything.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder whose `cargo` fails, and leaves a mark that it was called.
fn no_cargo(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("a folder");
    drop(fs::remove_file(folder.join("called")));
    let cargo = folder.join("cargo");
    fs::write(&cargo, "#!/bin/sh\ntouch \"$(dirname \"$0\")/called\"\nexit 1\n").expect("a file");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("its mode");
    folder
}

/// What a script that must refuse says on stderr.
fn refused(words: &str) -> String {
    let folder = no_cargo(&words.replace([' ', '/'], "-"));
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").expect("a PATH"));
    let mut words = words.split(' ');
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(words.next().expect("a script"));
    let output = Command::new("bash").arg(script).args(words).env("PATH", path).output().expect("bash");
    assert!(!folder.join("called").exists(), "nothing is built");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn brokers_says_what_was_wrong_and_then_how_it_is_right() {
    for (words, says) in [
        ("brokers", "error: nothing to do is named: up, down or status"),
        ("brokers start kafka", "error: `start` is nothing to do: it is up, down or status"),
        ("brokers up", "error: no broker is named: amqp-4 amqp-secure amqp kafka-secure kafka"),
        (
            "brokers up rabbit",
            "error: there is no broker `rabbit`: there are amqp-4 amqp-secure amqp kafka-secure kafka",
        ),
        (
            "brokers status nodes",
            "error: there is no broker `nodes`: there are amqp-4 amqp-secure amqp kafka-secure kafka",
        ),
        ("brokers up kafka --wipe", "error: `up` does not take `--wipe`: only `down` takes `--wipe`"),
        ("brokers down kafka --wipe all of it", "error: too many words: `all of it`"),
    ] {
        let text = refused(words);
        assert!(text.starts_with(&format!("{says}\n\nusage: scripts/brokers up|down|status BROKER")), "{text}");
    }
}

#[test]
fn amqp_node_says_what_was_wrong_and_then_how_it_is_right() {
    for (words, says) in [
        ("lib/amqp-node.sh", "error: nothing to do is named"),
        ("lib/amqp-node.sh stop", "error: no folder is named"),
        ("lib/amqp-node.sh stop /is/not/there", "error: there is no folder /is/not/there"),
        ("lib/amqp-node.sh dance /", "error: `dance` is nothing to do"),
        ("lib/amqp-node.sh alarm / loud", "error: `alarm` is `on` or `off`"),
        ("lib/amqp-node.sh install 5", "error: `5` is no kind of server: it is 3 or 4"),
    ] {
        let text = refused(words);
        assert!(text.starts_with(&format!("{says}\n\nusage: scripts/lib/amqp-node.sh start FOLDER")), "{text}");
    }
}

#[test]
fn prove_refuses_a_scenario_that_there_is_not_before_it_builds() {
    for words in ["prove kafka banana", "prove kafka group-join banana"] {
        let text = refused(words);
        let (before, names) = text.split_once(": there are ").expect("the names");
        assert_eq!(before, "error: there is no scenario `banana`");
        let (names, after) = names.split_once(" (").expect("the end of the names");
        assert_eq!(after, "`scripts/prove scenarios kafka` says what they do)\n");
        let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/kafka-faults.md"));
        let guide = guide.expect("the guide");
        let names: Vec<&str> = names.split(' ').collect();
        assert!(names.len() > 30 && names.contains(&"group-join") && names.contains(&"broker-one-of-three"), "{text}");
        for name in names {
            assert!(guide.contains(&format!("`{name}`")), "{name} is in the guide to faults");
        }
    }
    assert_eq!(
        refused("prove kafka --quick group-join"),
        "error: --quick plays the marked scenarios, and names play theirs: one or the other\n"
    );
}

#[test]
fn prove_says_what_it_does_not_know() {
    assert!(refused("prove banana").starts_with("error: unknown arguments: banana\n\nusage: scripts/prove failure"));
}
