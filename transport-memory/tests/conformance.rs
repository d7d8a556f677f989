//! The conformance suite on both shapes. Not wired yet: the suite offers no harness so far.

fn main() {}
