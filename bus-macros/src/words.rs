//! Sentences that several errors share.

/// "`event(..)` has no `topik`, did you mean `topic`? It has `type`, `topic` and .."
pub(crate) fn unknown(of: &str, what: &str, name: &str, known: &[String]) -> String {
    let likeness = |other: &String| strsim::jaro_winkler(name, other);
    let near = known.iter().filter(|other| likeness(other) > 0.75);
    let nearest = near.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let guess = nearest.map_or_else(|| ".".to_owned(), |nearest| format!(", did you mean `{nearest}`?"));
    format!("`{of}` has no {what}`{name}`{guess} It has {}", listed(known))
}

/// "`a`, `b` and `c`".
fn listed(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "none".to_owned(),
    }
}

/// A type for a struct that says none: `user.registered` of `UserRegistered` and of `UserRegisteredEvent`.
pub(crate) fn event_type_of(name: &str) -> String {
    let name = name.strip_prefix("r#").unwrap_or(name);
    let name = name.strip_suffix("Event").filter(|rest| !rest.is_empty()).unwrap_or(name);
    let mut text = String::new();
    let mut before = '.';
    for c in name.chars() {
        let begins = c.is_uppercase() && !before.is_uppercase() && !text.is_empty();
        if begins || c == '_' {
            text.push('.');
        }
        text.extend(c.to_lowercase().filter(|c| *c != '_'));
        before = c;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_suggested_by_the_name_of_the_event() {
        for (name, suggested) in [
            ("UserRegistered", "user.registered"),
            ("UserRegisteredEvent", "user.registered"),
            ("HTTPCalled", "httpcalled"),
            ("user_left", "user.left"),
            ("r#Event", "event"),
        ] {
            assert_eq!(event_type_of(name), suggested, "{name}");
        }
    }
}
