//! What RabbitMQ writes on a message each time it leaves a queue for another one: not to be seen where those are the queues in
//! which delayed messages wait.

use lapin::types::{AMQPValue, FieldTable};

use crate::delay::OWN;

/// All of them, newest first; of each queue the times it left.
const ALL: &str = "x-death";

/// What is said of the first and of the last time, and which queue that was.
const ENDS: [(&str, &str); 2] = [("x-first-death-", "x-first-death-queue"), ("x-last-death-", "x-last-death-queue")];

/// Whether the broker would write over a header of this name.
pub(super) fn is_the_brokers(name: &str) -> bool {
    name == ALL || ENDS.iter().any(|(prefix, _)| name.starts_with(prefix))
}

/// What `value` is without ours, where some of it is: nothing, or the rest.
pub(super) fn without_ours(name: &str, value: &AMQPValue, table: &FieldTable) -> Option<Option<AMQPValue>> {
    if !name.starts_with("x-") {
        return None;
    }
    if let (ALL, AMQPValue::FieldArray(deaths)) = (name, value) {
        let others: Vec<_> = deaths.as_slice().iter().filter(|death| !is_ours(death)).cloned().collect();
        let any = others.len() < deaths.as_slice().len();
        return any.then(|| (!others.is_empty()).then(|| AMQPValue::FieldArray(others.into())));
    }
    let (_, queue) = ENDS.iter().find(|(prefix, _)| name.starts_with(prefix))?;
    table.inner().get(*queue).is_some_and(is_own_queue).then_some(None)
}

fn is_ours(death: &AMQPValue) -> bool {
    let AMQPValue::FieldTable(death) = death else { return false };
    death.inner().get("queue").is_some_and(is_own_queue)
}

fn is_own_queue(name: &AMQPValue) -> bool {
    match name {
        AMQPValue::LongString(name) => name.as_bytes().starts_with(OWN.as_bytes()),
        AMQPValue::ShortString(name) => name.as_str().starts_with(OWN),
        _ => false,
    }
}
