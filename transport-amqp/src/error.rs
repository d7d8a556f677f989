//! lapin's errors in ours: what kind, where, and what to do. None of lapin's texts has a secret in it; addresses are shown
//! without what one logs in with.

mod network;

use gulo_bus_core::{Error, ErrorKind};
use lapin::ErrorKind as Kind;
use lapin::protocol::{AMQPError, AMQPErrorKind, AMQPHardError, AMQPSoftError};

use crate::config::{AmqpConfig, called};
use crate::connection::Found;

/// What to do where no broker answers.
pub(crate) const IS_IT_RUNNING: &str = "is it running? set AMQP_URL";

/// `error`, which came out of a connection by `config`.
pub(crate) fn told(error: &lapin::Error, config: &AmqpConfig) -> Error {
    let address = config.address();
    match error.kind() {
        Kind::ProtocolError(refusal) => by_the_broker(refusal, config),
        Kind::IOError(cause) | Kind::RuntimeShutdownError(cause) => {
            Error::new(ErrorKind::Unavailable, format!("the connection to {address} is lost: {cause}"))
                .help(IS_IT_RUNNING)
        }
        Kind::MissingHeartbeatError => {
            let text = format!("nothing was heard from the broker at {address} for two heartbeats");
            Error::new(ErrorKind::Unavailable, text).help("it hangs, or the way to it is cut")
        }
        Kind::InvalidChannelState(..) | Kind::InvalidConnectionState(_) | Kind::InvalidChannel(_) => {
            Error::new(ErrorKind::Unavailable, format!("the connection to {address} is lost")).help(IS_IT_RUNNING)
        }
        Kind::ChannelsLimitReached => {
            Error::new(ErrorKind::Unavailable, format!("the connection to {address} has all the channels it may have"))
                .help("subscribe to fewer topics in one process, or raise the broker's `channel_max`")
        }
        Kind::ParsingError(_) => {
            let text = format!("the broker at {address} sent what cannot be read");
            Error::new(ErrorKind::Unavailable, text).help(
                "a message whose headers or properties have bytes that are no UTF-8, in a queue that is read here? take it out \
                 of the queue",
            )
        }
        other => Error::new(ErrorKind::Other, format!("the connection to {address}: {other:?}")),
    }
}

/// `error`, which came of connecting by `config`, and what was found out of it since.
pub(crate) fn unreached(error: &lapin::Error, config: &AmqpConfig, found: Option<Found>) -> Error {
    match (error.kind(), found) {
        (_, Some(Found::Ends(cause))) => network::unreached(&cause, config),
        (_, Some(Found::Mechanisms(offered))) if !offered.iter().any(|name| name == config.mechanism()) => {
            no_such_login(&offered, config)
        }
        (Kind::IOError(cause) | Kind::RuntimeShutdownError(cause), _) => network::unreached(cause, config),
        (Kind::ParsingError(_) | Kind::InvalidProtocolVersion(_), _) => network::no_amqp(config),
        _ => told(error, config),
    }
}

fn no_such_login(offered: &[String], config: &AmqpConfig) -> Error {
    let (ours, offered) = (config.mechanism(), offered.join(", "));
    let text = format!("the broker at {} does not log in by {ours}, but by {offered}", config.address());
    let plugin = if config.is_external() { ", with the plugin rabbitmq_auth_mechanism_ssl" } else { "" };
    Error::new(ErrorKind::Refused, text)
        .help(format!("change {}, or the broker's `auth_mechanisms`{plugin}", called("AUTH_MECHANISM")))
}

fn by_the_broker(refusal: &AMQPError, config: &AmqpConfig) -> Error {
    let said = refusal.get_message().as_str();
    let text = format!("the broker at {} says: {said}", config.address());
    let refused = |help: &str| Error::new(ErrorKind::Refused, text.clone()).help(help);
    match refusal.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) if said.contains("Login was refused") => {
            refused(&login(config))
        }
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => refused(right(said)),
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => {
            Error::new(ErrorKind::Missing, text).help("make it first, or let `ensure` do so: `TopologyMode::Create`")
        }
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) if said.contains("timeout") => {
            Error::new(ErrorKind::TimedOut, text)
                .help("a delivery was not settled within the broker's `consumer_timeout`: raise it, or handle faster")
        }
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) if said.contains("inequivalent") => {
            refused("what is there has other arguments: delete it, or declare nothing")
        }
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED | AMQPSoftError::RESOURCELOCKED) => {
            Error::new(ErrorKind::Refused, text)
        }
        AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) if said.contains("vhost") && said.contains("not found") => {
            refused("there is no such vhost: it stands behind the last `/` of AMQP_URL, the vhost `/` written as `%2f`")
        }
        AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) if said.contains("vhost") => refused(
            "the user has no right on that vhost: rabbitmqctl set_permissions -p VHOST USER; or is another one meant? it stands \
             behind the last `/` of AMQP_URL",
        ),
        AMQPErrorKind::Hard(AMQPHardError::FRAMEERROR) => Error::new(ErrorKind::TooLarge, text),
        _ => Error::new(ErrorKind::Unavailable, text),
    }
}

fn login(config: &AmqpConfig) -> String {
    if config.is_external() {
        return "the name in the client's certificate (`ssl_cert_login_from`) is no user: rabbitmqctl add_user".into();
    }
    let mut help = "user or password is wrong; both stand in AMQP_URL".to_owned();
    if config.is_guest() {
        help += ", which names none, and `guest` is let in from the broker's own machine only";
    }
    help
}

/// Which right is missing; brokers before 4.0 do not say.
fn right(said: &str) -> &'static str {
    let of = |right: &str| said.contains(&format!("{right} access to "));
    if of("configure") {
        "give the user the right to configure it: rabbitmqctl set_permissions; or make it yourself, and declare nothing"
    } else if of("write") {
        "give the user the right to write to it: rabbitmqctl set_permissions"
    } else if of("read") {
        "give the user the right to read it: rabbitmqctl set_permissions"
    } else {
        "give the user that right, rabbitmqctl set_permissions: configure to declare it, write to publish and to bind, read to \
         consume"
    }
}
/// Whether the broker has closed the channel because an exchange or queue is not there.
pub(crate) fn is_missing(error: &lapin::Error) -> bool {
    is_soft(error, &AMQPSoftError::NOTFOUND)
}

/// Whether the broker has closed the channel because the user lacks a right.
pub(crate) fn is_refused(error: &lapin::Error) -> bool {
    is_soft(error, &AMQPSoftError::ACCESSREFUSED)
}

fn is_soft(error: &lapin::Error, wanted: &AMQPSoftError) -> bool {
    matches!(error.kind(), Kind::ProtocolError(refusal)
        if matches!(refusal.kind(), AMQPErrorKind::Soft(soft) if soft == wanted))
}

/// What the broker says of what is there with other arguments than those that were declared.
pub(crate) fn inequivalent(error: &lapin::Error) -> Option<&str> {
    let Kind::ProtocolError(refusal) = error.kind() else { return None };
    let said = refusal.get_message().as_str();
    said.contains("inequivalent").then(|| said.strip_prefix("PRECONDITION_FAILED - ").unwrap_or(said))
}

/// The exchange that the broker names when it closes a channel over a publish.
pub(crate) fn exchange_named(error: &lapin::Error) -> Option<&str> {
    let Kind::ProtocolError(refusal) = error.kind() else { return None };
    // `NOT_FOUND - no exchange 'x' in vhost '/'`, `ACCESS_REFUSED - write access to exchange 'x' in vhost '/' refused ..`,
    // by newer brokers with another word before it.
    let (_, rest) = refusal.get_message().as_str().split_once("exchange '")?;
    rest.split_once("' in vhost").map(|(name, _)| name)
}

/// The same in words, for one more that fails by the same cause.
pub(crate) fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soft(kind: AMQPSoftError, text: &str) -> lapin::Error {
        Kind::ProtocolError(AMQPError::new(kind.into(), text.into())).into()
    }

    #[test]
    fn the_exchange_is_named() {
        let missing = soft(AMQPSoftError::NOTFOUND, "NOT_FOUND - no exchange 'it's' in vhost '/'");
        assert_eq!(exchange_named(&missing), Some("it's"));
        assert!(is_missing(&missing));
        let denied = "ACCESS_REFUSED - write access to exchange 'users' in vhost '/' refused for user 'me'";
        assert_eq!(exchange_named(&soft(AMQPSoftError::ACCESSREFUSED, denied)), Some("users"));
        assert_eq!(exchange_named(&soft(AMQPSoftError::NOTFOUND, "NOT_FOUND - no queue 'q'")), None);
    }

    #[test]
    fn kinds_follow_the_broker() {
        let kind = |kind, text| told(&soft(kind, text), &AmqpConfig::new("amqp://here")).kind();
        assert_eq!(kind(AMQPSoftError::NOTFOUND, "NOT_FOUND - no queue"), ErrorKind::Missing);
        assert_eq!(kind(AMQPSoftError::ACCESSREFUSED, "ACCESS_REFUSED - Login was refused"), ErrorKind::Refused);
        let late = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 3000 ms";
        assert_eq!(kind(AMQPSoftError::PRECONDITIONFAILED, &late.to_lowercase()), ErrorKind::TimedOut);
    }

    #[test]
    fn what_to_do_is_said_of_other_arguments_alone() {
        let told =
            |text| told(&soft(AMQPSoftError::PRECONDITIONFAILED, text), &AmqpConfig::new("amqp://here")).to_string();
        let other =
            told("PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received ..");
        assert!(other.ends_with("(what is there has other arguments: delete it, or declare nothing)"), "{other}");
        let tag = told("PRECONDITION_FAILED - unknown delivery tag 7");
        assert!(tag.ends_with("PRECONDITION_FAILED - unknown delivery tag 7"), "{tag}");
    }
}
