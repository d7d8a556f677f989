//! What a decoder says, without what it quotes: payload stays out of errors.

/// serde's text without what it quotes of the input: ``invalid type: string "secret", expected u64`` becomes
/// ``invalid type: string, expected u64``; ``missing field `email` `` stays.
pub(super) fn without_values(text: &str) -> String {
    // What serde quotes of the input may contain anything, so everything is looked for from the end, where it is serde's.
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    if text.starts_with("missing field") || text.starts_with("duplicate field") {
        return text.to_owned();
    }
    // Where nothing is expected, a `, expected ` is the input's own.
    for (nothing, problem) in [("unknown field", "there are no fields"), ("unknown variant", "there are no variants")] {
        if text.starts_with(nothing) && text.contains(problem) {
            return format!("{nothing}, {problem}");
        }
    }
    let Some((found, expected)) = text.rsplit_once(", expected ") else { return "does not fit the event".to_owned() };
    let problem = match found.split_once(": ") {
        Some((problem @ ("invalid type" | "invalid value" | "invalid length"), rest)) => {
            format!("{problem}: {}", rest.split([' ', ',']).next().unwrap_or_default())
        }
        _ if found.starts_with("unknown variant") => "unknown variant".to_owned(),
        _ if found.starts_with("unknown field") => "unknown field".to_owned(),
        _ => return "does not fit the event".to_owned(),
    };
    format!("{problem}, expected {expected}")
}

/// What a codec of somebody else's says: where it is in serde's words, only these and without values. Many put the
/// place before them, or a name around them.
pub(super) fn capped(text: &str) -> String {
    let serde = ["invalid type", "invalid value", "invalid length", "unknown variant", "unknown field"];
    // The first one: what the input has of these words comes behind it.
    let said = serde.iter().filter_map(|known| text.find(known)).min().and_then(|start| text.get(start..));
    crate::error::shown(&said.map_or_else(|| text.to_owned(), without_values))
}
