//! The way through the README, walked as it stands there: its requests are sent, and what it shows is seen.

mod program;

use program::{Answer, Program, ask, listens_at};
use serde_json::Value;

/// The blocks of a section, their lines whole: the shell goes on behind a backslash.
fn blocks(section: &str) -> Vec<Vec<String>> {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let section = readme.split("\n## ").find(|text| text.starts_with(section)).expect("the section");
    let blocks = section.split("```text\n").skip(1).filter_map(|rest| rest.split_once("```"));
    blocks.map(|(block, _)| block.replace("\\\n", " ").lines().map(str::to_owned).collect()).collect()
}

/// What is given to each option of this name, quoted or not.
fn options<'a>(command: &'a str, name: &str) -> Vec<&'a str> {
    let name = format!(" {name} ");
    let value = |rest: &'a str| match rest.strip_prefix('\'') {
        Some(quoted) => quoted.split('\'').next().unwrap_or_default(),
        None => rest.split(' ').next().unwrap_or_default(),
    };
    command.split(&*name).skip(1).map(value).collect()
}

/// Who walks: the program, what it answered last, and the ids of the README with those of this run.
struct Walk {
    program: Program,
    address: String,
    answer: Option<Answer>,
    ids: Vec<(String, String)>,
    requests: usize,
    checks: usize,
}

impl Walk {
    fn start() -> Self {
        let program = Program::start("in_process", env!("CARGO_BIN_EXE_in_process"), &[]);
        let address = listens_at(&program);
        Self { program, address, answer: None, ids: Vec::new(), requests: 0, checks: 0 }
    }

    fn with_ids(&self, text: &str) -> String {
        self.ids.iter().fold(text.to_owned(), |text, (shown, real)| text.replace(shown, real))
    }

    fn answer(&self) -> &Answer {
        self.answer.as_ref().expect("something was asked")
    }

    fn request(&mut self, command: &str) {
        let (_, place) = command.split_once("localhost:8000").expect("a place");
        let path = self.with_ids(place.split(' ').next().expect("a path"));
        let body = options(command, "-d").first().map(|body| serde_json::from_str::<Value>(body).expect("JSON"));
        let usual = if body.is_some() { "POST" } else { "GET" };
        let method = options(command, "-X").first().copied().unwrap_or(usual);
        let headers = options(command, "-H");
        let conversation = headers.iter().find_map(|header| header.strip_prefix("x-correlation-id: "));
        self.answer = Some(ask(&self.address, method, &path, conversation.unwrap_or_default(), body));
        self.requests += 1;
    }

    /// Compares a line that is shown with what is there; `false` where it shows nothing that can be compared.
    fn sees(&mut self, line: &str) -> bool {
        if let Some(status) = line.strip_prefix("HTTP/1.1 ") {
            let (shown, _) = status.split_once(' ').expect("a status and its name");
            assert_eq!(self.answer().status.to_string(), shown);
        } else if line.starts_with('{') {
            let shown: Value = serde_json::from_str(line).expect("JSON");
            // What the README calls a new user by is called otherwise each time.
            if let (201, Some(shown), Some(real)) =
                (self.answer().status, shown["id"].as_str(), self.answer().body["id"].as_str())
            {
                let known = (shown.to_owned(), real.to_owned());
                self.ids.push(known);
            }
            assert_eq!(
                self.answer().body,
                serde_json::from_str::<Value>(&self.with_ids(line)).expect("JSON"),
                "{line}"
            );
        } else if ["analytics: ", "crm: ", "email: ", "group "].iter().any(|begin| line.starts_with(begin)) {
            self.program.until(&[line]);
        } else if let Some((name @ ("content-type" | "x-correlation-id"), value)) = line.split_once(": ") {
            assert_eq!(self.answer().header(name), Some(value));
        } else {
            return false;
        }
        true
    }
}

#[test]
fn requests_of_the_readme_are_answered_and_handled_as_it_says() {
    let mut walk = Walk::start();
    for line in blocks("In one process").concat() {
        if line.starts_with("curl ") {
            walk.request(&line);
        } else if line.starts_with("group email: ") {
            walk.program.stop();
            walk.checks += usize::from(walk.sees(&line));
        } else {
            walk.checks += usize::from(walk.sees(&line));
        }
    }
    // Whoever changes how the README looks must not leave this test with nothing to do.
    assert_eq!((walk.requests, walk.ids.len()), (7, 1));
    assert!(walk.checks >= 20, "{} lines were compared", walk.checks);
}

#[test]
fn every_program_is_shown_with_what_it_needs() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let manifest = std::fs::read_to_string(manifest).expect("the manifest");
    let shown = [blocks("In one process"), blocks("As services")].concat().concat();
    let programs: Vec<_> = manifest.split("[[bin]]\nname = \"").skip(1).collect();
    assert_eq!(programs.len(), 6);
    for program in programs {
        let (name, rest) = program.split_once('"').expect("a name");
        let needs = rest.split("\n[").next().is_some_and(|rest| rest.contains("required-features = ["));
        let features = if needs { "--features kafka " } else { "" };
        let command = format!("cargo run -p user-service {features}--bin {name}");
        let is_it = |line: &String| {
            line.strip_prefix(&*command).is_some_and(|rest| rest.trim_start().is_empty() || rest.contains('#'))
        };
        assert!(shown.iter().any(is_it), "the README does not show `{command}`");
    }
}
