//! What `#[derive(IntegrationEvent)]` makes of an event.

use std::fmt;

use gulo::codec::{Encoded, Json};
use gulo::prelude::*;
use gulo::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Customer {
    id: String,
    region: Option<String>,
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.registered", version = 3, accepts = 2..=4, topic = "users", source = "billing", key = user_id)]
#[event(aggregate(kind = "user", id = user_id))]
struct UserRegistered {
    user_id: u64,
}

#[test]
fn an_event_says_what_its_attribute_says() {
    assert_eq!(UserRegistered::TYPE, "user.registered");
    assert_eq!(UserRegistered::VERSION, 3);
    assert_eq!(UserRegistered::ACCEPTS, 2..=4);
    assert_eq!(UserRegistered::TOPIC, Some("users"));
    assert_eq!(UserRegistered::SOURCE, Some("billing"));
    let event = UserRegistered { user_id: 7 };
    assert_eq!(event.key().as_deref(), Some("7"));
    assert_eq!(event.aggregate(), Some(Aggregate::new("user", "7")));
}

#[derive(Debug, PartialEq, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "clock.ticked")]
struct Ticked;

#[test]
fn what_is_not_said_is_as_in_the_trait() {
    assert_eq!((Ticked::VERSION, Ticked::ACCEPTS), (1, 1..=1));
    assert_eq!((Ticked::TOPIC, Ticked::SOURCE), (None, None));
    assert_eq!((Ticked.key(), Ticked.aggregate()), (None, None));
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "order.placed", key(tenant, customer.id), aggregate(kind = "customer", id = customer.id))]
struct OrderPlaced {
    tenant: Option<u32>,
    customer: Customer,
}

fn order(tenant: Option<u32>) -> OrderPlaced {
    OrderPlaced { tenant, customer: Customer { id: "c/1".into(), region: None } }
}

#[test]
fn fields_of_a_key_are_joined_by_slashes_and_may_lie_deeper() {
    assert_eq!(order(Some(4)).key().as_deref(), Some("4/c/1"));
    assert_eq!(order(Some(4)).aggregate(), Some(Aggregate::new("customer", "c/1")));
}

#[test]
fn a_field_that_is_none_gives_no_key() {
    assert_eq!(order(None).key(), None);
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "order.moved", key = region(), aggregate(kind = "order", id(customer.region, customer.number(), text())))]
struct Moved {
    customer: Customer,
}

impl Moved {
    fn region(&self) -> Option<&str> {
        self.customer.region.as_deref()
    }

    fn text(&self) -> String {
        "text".into()
    }
}

impl Customer {
    fn number(&self) -> usize {
        self.id.len()
    }
}

#[test]
fn a_key_may_come_from_a_method_that_may_give_none() {
    let mut moved = Moved { customer: Customer { id: "c1".into(), region: None } };
    assert_eq!((moved.key(), moved.aggregate()), (None, None));
    moved.customer.region = Some("north".into());
    assert_eq!(moved.key().as_deref(), Some("north"));
    assert_eq!(moved.aggregate(), Some(Aggregate::new("order", "north/2/text")));
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "pair.seen", key = 1, aggregate(kind = "pair", id(0.1, 0.0)))]
struct Pair((u8, String), Option<i64>);

#[test]
fn fields_of_tuples_have_numbers() {
    let pair = Pair((1, "x".into()), Some(-5));
    assert_eq!(pair.key().as_deref(), Some("-5"));
    assert_eq!(pair.aggregate(), Some(Aggregate::new("pair", "x/1")));
    assert_eq!(Pair((1, "x".into()), None).key(), None);
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "thing.kept", key = r#type)]
struct Kept {
    r#type: String,
}

#[test]
fn a_field_may_have_the_name_of_a_keyword() {
    assert_eq!(Kept { r#type: "box".into() }.key().as_deref(), Some("box"));
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "payment.ended", key = payment())]
enum PaymentEnded {
    Paid { payment: u32 },
    Refused(u32),
    Unknown,
}

impl PaymentEnded {
    fn payment(&self) -> Option<u32> {
        match self {
            Self::Paid { payment } | Self::Refused(payment) => Some(*payment),
            Self::Unknown => None,
        }
    }
}

#[test]
fn an_enum_has_its_key_from_a_method() {
    assert_eq!(PaymentEnded::Paid { payment: 1 }.key().as_deref(), Some("1"));
    assert_eq!(PaymentEnded::Refused(2).key().as_deref(), Some("2"));
    assert_eq!(PaymentEnded::Unknown.key(), None);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "snapshot.taken", key = id)]
struct Snapshot<I: fmt::Display, T, const N: usize>
where
    T: Clone,
{
    id: I,
    all: Vec<T>,
}

#[test]
fn an_event_may_be_generic() {
    let snapshot = Snapshot::<u8, Customer, 3> { id: 9, all: vec![Customer { id: "c1".into(), region: None }] };
    assert_eq!(Snapshot::<u8, String, 1>::TYPE, "snapshot.taken");
    assert_eq!(snapshot.key().as_deref(), Some("9"));
    let json = serde_json::to_vec(&snapshot).expect("encodes");
    let read = Encoded::new(&Json.into(), &json).decode::<Snapshot<u8, Customer, 3>>();
    assert_eq!(read.expect("decodes"), snapshot);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.renamed", version = 4, upcast(1 = from_v1, 3 = Self::from_v3))]
struct Renamed {
    first: String,
    last: String,
}

#[derive(Deserialize)]
struct RenamedV1 {
    name: String,
}

fn from_v1(old: RenamedV1) -> std::result::Result<Renamed, String> {
    let Some((first, last)) = old.name.split_once(' ') else { return Err("a name has two parts".into()) };
    Ok(Renamed { first: first.into(), last: last.into() })
}

impl Renamed {
    fn from_v3((first, last): (String, String)) -> Self {
        Self { first, last }
    }
}

fn renamed(version: u32, json: &str) -> Result<Renamed> {
    Renamed::upcast(version, Encoded::new(&Json.into(), json.as_bytes()))
}

#[test]
fn older_versions_are_read_by_their_functions_and_those_between_as_today() {
    let expected = Renamed { first: "Ada".into(), last: "Lovelace".into() };
    assert_eq!(Renamed::ACCEPTS, 1..=4);
    assert_eq!(renamed(1, r#"{"name":"Ada Lovelace"}"#).expect("by from_v1"), expected);
    assert_eq!(renamed(2, r#"{"first":"Ada","last":"Lovelace"}"#).expect("as today"), expected);
    assert_eq!(renamed(3, r#"["Ada","Lovelace"]"#).expect("by from_v3"), expected);
}

#[test]
fn an_older_version_that_cannot_be_upcast_is_an_error_that_says_why() {
    let error = renamed(1, r#"{"name":"Ada"}"#).expect_err("one name");
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().contains("a name has two parts"), "{error}");
    assert_eq!(renamed(1, r#"{"first":"Ada"}"#).expect_err("not of version 1").kind(), ErrorKind::Decode);
}

/// A library that has the bus under a name of its own.
mod platform {
    pub(crate) mod bus {
        pub(crate) use gulo::*;
    }
}

#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "note.left", version = 2, upcast(1 = same), key = 0, aggregate(kind = "note", id = 0))]
#[event(crate = platform::bus)]
struct Note<T: fmt::Display>(T);

fn same<T: fmt::Display>(old: Note<T>) -> Note<T> {
    old
}

#[test]
fn the_bus_may_have_another_name() {
    assert_eq!(Note("x".to_owned()).key().as_deref(), Some("x"));
    let old = Note::<u8>::upcast(1, Encoded::new(&Json.into(), b"7")).expect("the number in it");
    assert_eq!(old.aggregate(), Some(Aggregate::new("note", "7")));
}

/// Names that the macro's own code would meet, if it wrote short ones.
mod shadowed {
    #![allow(dead_code)]

    struct Option;
    struct Some;
    struct String;
    struct Part;
    trait Display {}
    trait Sized {}

    #[derive(serde::Serialize, serde::Deserialize, gulo::IntegrationEvent)]
    #[event(type = "shadow.seen", version = 2, upcast(1 = same), key(id, id), aggregate(kind = "shadow", id = id))]
    pub(super) struct Shadow {
        pub(super) id: u8,
    }

    fn same(old: Shadow) -> Shadow {
        old
    }
}

#[test]
fn what_else_is_in_scope_does_not_matter() {
    assert_eq!(shadowed::Shadow { id: 1 }.key().as_deref(), ::std::option::Option::Some("1/1"));
}

macro_rules! event {
    ($name:ident, $type:literal, $field:ident) => {
        #[derive(Serialize, Deserialize, IntegrationEvent)]
        #[event(type = $type, key = $field, aggregate(kind = "made", id = $field))]
        struct $name {
            $field: u8,
        }
    };
}

event!(Made, "made.by_macro", number);

#[test]
fn an_event_may_be_written_by_a_macro() {
    assert_eq!((Made::TYPE, Made { number: 3 }.key().as_deref()), ("made.by_macro", Some("3")));
}

type Heard<T> = UnboundedSender<T>;

/// A bus whose handlers have `heard` as their state.
async fn bus<T: Send + 'static>(subscription: Subscription, heard: Heard<T>) -> Bus {
    let bus = Bus::builder("shop").transport(MemoryTransport::new()).subscribe(subscription).state(heard);
    bus.start().await.expect("starts")
}

#[gulo::handler]
async fn on_user(
    Event(user): Event<UserRegistered>,
    Meta(meta): Meta,
    State(heard): State<Heard<(u64, EventMeta)>>,
) -> std::result::Result<(), HandlerError> {
    Ok(heard.send((user.user_id, EventMeta::clone(&meta)))?)
}

#[tokio::test]
async fn a_derived_event_goes_through_the_bus() {
    let (heard, mut ear) = unbounded_channel::<(u64, EventMeta)>();
    let bus = bus(Subscription::group("mail").on(on_user), heard).await;
    bus.publish(UserRegistered { user_id: 7 }).await.expect("confirmed");
    let (user, meta) = ear.recv().await.expect("heard");
    assert_eq!((user, &*meta.event_type, meta.version, &*meta.source), (7, "user.registered", 3, "billing"));
    assert_eq!(meta.aggregate, Some(Aggregate::new("user", "7")));
}

/// What a publisher of long ago sends.
#[derive(Serialize, Deserialize, IntegrationEvent)]
#[event(type = "user.renamed")]
struct RenamedLongAgo {
    name: String,
}

#[gulo::handler]
async fn on_renamed(Event(renamed): Event<Renamed>, State(heard): State<Heard<Renamed>>) {
    heard.send(renamed).expect("the test listens");
}

#[tokio::test]
async fn an_event_of_an_older_version_reaches_its_handler_upcast() {
    let (heard, mut ear) = unbounded_channel();
    let bus = bus(Subscription::group("mail").on(on_renamed), heard).await;
    bus.publish(RenamedLongAgo { name: "Ada Lovelace".into() }).await.expect("confirmed");
    assert_eq!(ear.recv().await, Some(Renamed { first: "Ada".into(), last: "Lovelace".into() }));
}
