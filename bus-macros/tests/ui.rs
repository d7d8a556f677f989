//! What the macros say of mistakes, word by word, and that they say nothing of what is right.
//!
//! The texts are as Rust 1.95 tells them; `TRYBUILD=overwrite cargo test -p gulo-bus-macros --test ui` writes them anew, to be
//! read before they are kept.

#[path = "ui/pass/events.rs"]
mod events;
#[path = "ui/pass/handlers.rs"]
mod handlers;

/// Built apart, in `target/tests`, with the default features of the bus.
#[test]
fn mistakes_are_told_in_these_words() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}
