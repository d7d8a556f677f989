//! The address of a broker, to the letter. Parsers of addresses in general take too much for one: `amqp://[::1]` becomes
//! `localhost`, a slash at the end another vhost; and what they complain of they quote, password and all. Nothing that is told
//! here quotes an address.

use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism};

use super::keys::nearest;

pub(super) const SHAPE: &str =
    "`amqp://user:password@host:port/vhost`, `amqps://` with TLS, the vhost `/` written as `%2f`";

/// What stands behind the `?`.
const PARAMETERS: &[&str] = &["heartbeat", "connection_timeout", "channel_max", "frame_max", "auth_mechanism"];

/// Those that other clients know, and how it is said here.
const OF_OTHERS: &[(&str, &str)] = &[
    ("cacertfile", "ssl_ca"),
    ("certfile", "ssl_certificate"),
    ("keyfile", "ssl_certificate"),
    ("verify", "nothing: the broker's certificate is always verified"),
    ("server_name_indication", "nothing: the certificate must be for the host"),
];

const TO_ESCAPE: &str = "a character of user, password or vhost that means something in an address is written as `%` and two \
                         hex digits: `/` as `%2f`, `@` as `%40`, `#` as `%23`, `?` as `%3f`, `%` as `%25`";

/// `text` in its parts; the error says what is wrong with it and what would be right.
pub(super) fn parse(text: &str) -> Result<AMQPUri, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("is empty: it is {SHAPE}"));
    }
    let (scheme, rest) = scheme(text)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if tail.contains(['@', '#']) {
        return Err(format!("is not an address: {TO_ESCAPE}"));
    }
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let (login, place) = authority.rsplit_once('@').map_or((None, authority), |(login, place)| (Some(login), place));
    let userinfo = login.map_or_else(|| Ok(AMQPUserInfo::default()), userinfo)?;
    let (host, port) = place_of(place, &scheme)?;
    let (vhost, query) = (vhost(path)?, parameters(query)?);
    Ok(AMQPUri { scheme, authority: AMQPAuthority { userinfo, host, port }, vhost, query })
}

fn scheme(text: &str) -> Result<(AMQPScheme, &str), String> {
    let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("begins with no `amqp://`: it is {SHAPE}"))?;
    match scheme.to_ascii_lowercase().as_str() {
        "amqp" => Ok((AMQPScheme::AMQP, rest)),
        "amqps" => Ok((AMQPScheme::AMQPS, rest)),
        "http" | "https" => Err(format!("is the address of a web page, of the management perhaps: it is {SHAPE}")),
        _ => Err(format!("begins with neither `amqp://` nor `amqps://`: it is {SHAPE}")),
    }
}

fn userinfo(login: &str) -> Result<AMQPUserInfo, String> {
    let (user, password) = login.split_once(':').ok_or("has a user and no password: it is `user:password@`")?;
    let decoded =
        |part| decoded(part).ok_or_else(|| format!("has a user or a password that is not well escaped: {TO_ESCAPE}"));
    let (username, password) = (decoded(user)?, decoded(password)?);
    if username.is_empty() {
        return Err("has an empty user: it is `user:password@`".into());
    }
    Ok(AMQPUserInfo { username, password })
}

fn place_of(place: &str, scheme: &AMQPScheme) -> Result<(String, u16), String> {
    let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
        Some((host, rest)) => (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').unwrap_or("")) }),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(format!("names no host: it is {SHAPE}"));
    }
    let is_v6 = place.starts_with('[') && host.parse::<std::net::Ipv6Addr>().is_ok();
    if !is_v6 && !host.chars().all(|c| c.is_alphanumeric() || ['-', '.', '_'].contains(&c)) {
        return Err(format!("has a host that cannot be one; {TO_ESCAPE}"));
    }
    let port = match port {
        None => scheme.default_port(),
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("has a port that is no number from 1 to 65535; {TO_ESCAPE}"))?,
    };
    Ok((host.to_owned(), port))
}

fn vhost(path: &str) -> Result<String, String> {
    let Some(name) = path.strip_prefix('/') else { return Ok("/".to_owned()) };
    if name.is_empty() {
        return Err(
            "ends with `/`, which is a vhost without a name: leave it away, or write the vhost `/` as `/%2f`".into()
        );
    }
    if name.contains('/') {
        return Err("has a vhost with a `/` in it: that is written as `%2f`".into());
    }
    let vhost = decoded(name)
        .ok_or("has a vhost that is not well escaped: `%` is followed by two hex digits, `%` itself is `%25`")?;
    if vhost.len() > crate::names::LONGEST {
        return Err(format!("has a vhost of more than {} bytes", crate::names::LONGEST));
    }
    Ok(vhost)
}

fn parameters(query: &str) -> Result<AMQPQueryString, String> {
    let mut parameters = AMQPQueryString::default();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let least = |least: u64, most: u64| {
            let number = value.parse::<u64>().ok().filter(|number| (least..=most).contains(number));
            number.ok_or_else(|| format!("has a `{name}` that is no whole number from {least} to {most}"))
        };
        match name {
            "heartbeat" => parameters.heartbeat = Some(least(1, 65_535)? as u16),
            "connection_timeout" => parameters.connection_timeout = Some(least(1, i32::MAX as u64)?),
            "channel_max" => parameters.channel_max = Some(least(1, 65_535)? as u16),
            // What every broker must take.
            "frame_max" => parameters.frame_max = Some(least(4096, i32::MAX as u64)? as u32),
            "auth_mechanism" => parameters.auth_mechanism = Some(mechanism(value)?),
            _ => return Err(unknown(name)),
        }
    }
    Ok(parameters)
}

fn mechanism(value: &str) -> Result<SASLMechanism, String> {
    let known = [SASLMechanism::Plain, SASLMechanism::AMQPlain, SASLMechanism::External];
    let found = known.into_iter().find(|known| known.name().eq_ignore_ascii_case(value));
    found.ok_or_else(|| "has an `auth_mechanism` that is none of plain, amqplain, external".into())
}

/// It may be a piece of a password, so it is not shown unless it is a slip.
fn unknown(name: &str) -> String {
    if let Some((theirs, ours)) = OF_OTHERS.iter().find(|(theirs, _)| *theirs == name) {
        return format!("has a parameter `{theirs}` that other clients know; here it is {ours}");
    }
    match nearest(name, PARAMETERS.iter().copied()) {
        Some(meant) => format!("has an unknown parameter behind the `?`; is `{meant}` meant?"),
        None => format!("has an unknown parameter behind the `?`: there are {}", PARAMETERS.join(", ")),
    }
}

/// `None` for what is not well escaped, or is not text then.
fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let hex = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        bytes.push((hex(0)? * 16 + hex(1)?) as u8);
        rest = &after[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_to_the_letter() {
        let of = |text: &str| {
            let uri = parse(text).unwrap();
            let AMQPUserInfo { username, password } = uri.authority.userinfo;
            (username, password, uri.authority.host, uri.authority.port, uri.vhost)
        };
        let expected = |user: &str, password: &str, host: &str, port, vhost: &str| {
            (user.to_owned(), password.to_owned(), host.to_owned(), port, vhost.to_owned())
        };
        assert_eq!(of("amqp://rabbit"), expected("guest", "guest", "rabbit", 5672, "/"));
        assert_eq!(of(" AMQPS://rabbit/%2F\n"), expected("guest", "guest", "rabbit", 5671, "/"));
        assert_eq!(of("amqp://me:a%40b%2fc@10.0.0.1:1/shop"), expected("me", "a@b/c", "10.0.0.1", 1, "shop"));
        assert_eq!(of("amqp://me:a@b:c@h/a%2fb?heartbeat=7"), expected("me", "a@b:c", "h", 5672, "a/b"));
        assert_eq!(of("amqp://me:@[::1]:7"), expected("me", "", "::1", 7, "/"));
        let query =
            parse("amqps://h?heartbeat=7&connection_timeout=9&auth_mechanism=EXTERNAL&channel_max=3").unwrap().query;
        assert_eq!((query.heartbeat, query.connection_timeout, query.channel_max), (Some(7), Some(9), Some(3)));
        assert_eq!(query.auth_mechanism, Some(SASLMechanism::External));
    }

    #[test]
    fn what_is_no_address_is_told_with_the_right_shape_and_without_the_login() {
        for (text, says) in [
            ("", "is empty: it is `amqp://user:password@host:port/vhost`"),
            ("hunter2:5672", "begins with no `amqp://`"),
            ("http://me:hunter2@h:15672", "is the address of a web page"),
            ("kafka://me:hunter2@h", "begins with neither `amqp://` nor `amqps://`"),
            ("amqp://", "names no host"),
            ("amqp://me:hunter2@/v", "names no host"),
            ("amqp://me:hunter2@:5672", "names no host"),
            ("amqp://me:hunter2@h:99999/v", "a port that is no number from 1 to 65535"),
            ("amqp://me:hunter2@h:0", "a port that is no number"),
            ("amqp://me:hunter2@h:/v", "a port that is no number"),
            ("amqp://me:hunter2@a b/v", "a host that cannot be one"),
            ("amqp://me:hunter2@[::zz]:1/v", "a host that cannot be one"),
            ("amqp://me:hunter2@h1,h2/v", "a host that cannot be one"),
            ("amqp://hunter2@h/v", "has a user and no password"),
            ("amqp://:hunter2@h/v", "has an empty user"),
            ("amqp://me:hunter2%4@h/v", "not well escaped"),
            ("amqp://me:hunter2/x@h/v", "`/` as `%2f`"),
            ("amqp://me:1/hunter2@h/v", "`/` as `%2f`"),
            ("amqp://me:1?hunter2@h/v", "`?` as `%3f`"),
            ("amqp://me:1#hunter2@h/v", "`#` as `%23`"),
            ("amqp://me:hunter2@h/", "leave it away, or write the vhost `/` as `/%2f`"),
            ("amqp://me:hunter2@h//", "has a vhost with a `/` in it"),
            ("amqp://me:hunter2@h/%zz", "has a vhost that is not well escaped"),
            ("amqp://me:hunter2@h/%ff", "has a vhost that is not well escaped"),
            ("amqp://me:hunter2@h?heartbeat=0", "`heartbeat` that is no whole number from 1 to 65535"),
            ("amqp://me:hunter2@h?heartbeat=70000", "`heartbeat` that is no whole number from 1 to 65535"),
            ("amqp://me:hunter2@h?hartbeat=hunter2", "is `heartbeat` meant?"),
            ("amqp://me:hunter2@h?auth_mechanism=hunter2", "none of plain, amqplain, external"),
            ("amqp://me:hunter2@h?cacertfile=hunter2", "here it is ssl_ca"),
            ("amqp://me:hunter2@h?hunter2", "there are heartbeat, connection_timeout"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
    }
}
