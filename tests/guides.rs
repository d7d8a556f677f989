//! What guides show is what examples do, which are compiled and run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const GUIDES: [(&str, &str, usize); 2] =
    [("docs/testing.md", "examples/unit_testing.rs", 8), ("docs/quickstart.md", "examples/hello.rs", 2)];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file")
}

/// Examples are built without the feature `testing` too.
fn lines(text: &str) -> Vec<String> {
    let text = text.replace("#[cfg(all(test, feature = \"testing\"))]", "#[cfg(test)]");
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn the_code_of_a_guide_is_that_of_its_example() {
    for (guide, example, least) in GUIDES {
        let (text, example_lines) = (read(guide), lines(&read(example)));
        let blocks: Vec<_> = text.split("```rust\n").skip(1).filter_map(|rest| rest.split_once("```")).collect();
        assert!(blocks.len() >= least, "{guide} has code");
        for (block, _) in blocks {
            let block = lines(block);
            let shown = example_lines.windows(block.len()).any(|part| part == block);
            assert!(shown, "{guide} shows what {example} does not: {block:#?}");
        }
    }
}

/// Whoever runs an example can ask it to say more, and a filter that cannot be read does not end it.
#[test]
fn every_example_listens_to_rust_log() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let tour = read("examples/tour/mod.rs");
    let entries = fs::read_dir(&root).expect("examples").map(|entry| entry.expect("an entry").path());
    let files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect();
    assert!(files.len() > 6, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).expect("an example");
        let text = if text.contains("tour::log_to_stderr()") { &tour } else { &text };
        let listens =
            text.contains("EnvFilter::builder().with_default_directive(") && text.contains(".from_env_lossy()");
        assert!(listens && text.contains(".with_env_filter(filter)"), "{} does not", file.display());
    }
}

/// The headings of a guide, as links name them.
fn anchors(text: &str) -> BTreeSet<String> {
    let anchor = |heading: &str| -> String {
        let kept = heading.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// A guide that sends its reader nowhere is not true.
#[test]
fn links_and_examples_of_guides_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guides = fs::read_dir(root.join("docs")).expect("guides").map(|entry| entry.expect("an entry").path());
    for guide in guides.chain([root.join("README.md"), root.join("CONTRIBUTING.md")]) {
        let text = fs::read_to_string(&guide).expect("a guide");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { guide.clone() } else { guide.with_file_name(file) };
            assert!(file.exists(), "{} links {link}", guide.display());
            let is_there = anchor.is_empty() || anchors(&fs::read_to_string(file).unwrap_or_default()).contains(anchor);
            assert!(is_there, "{} links {link}, and there is no such heading", guide.display());
        }
        for name in text.split("--example ").skip(1).filter_map(|rest| rest.split([' ', '`', '\n', ')']).next()) {
            assert!(root.join(format!("examples/{name}.rs")).exists(), "{} runs {name}", guide.display());
        }
    }
}
