//! What is made of domain events, and what it says.

mod support;

use chrono::{DateTime, Utc};
use gulo_application::domain::{AnyDomainEvent, DomainMeta, Raised};
use gulo_application::factory::IntegrationEventFactory;
use gulo_application::mapper::EventMapper;
use gulo_application::mediator::RequestMeta;
use gulo_bus_core::ErrorKind;
use gulo_bus_core::event::{Aggregate, Outgoing};
use gulo_bus_core::event_publisher::AnyEvent;
use proptest::prelude::*;

use support::{AddressChanged, Unmapped, UserCreated, UserMoved, UserRegistered, mapper, shown};

fn of(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_domain_event_becomes_one_integration_event_of_its_own_type_and_topic() {
    let raised = Raised::new(UserCreated { user_id: 7 });
    let events = mapper().events_of(&raised.clone().into()).expect("maps");
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.event_type(), event.topic().as_deref()), ("user.registered", Some("users")));
    assert_eq!(event.downcast_ref::<UserRegistered>(), Some(&UserRegistered { user_id: 7 }));
}

fn meta() -> impl Strategy<Value = DomainMeta> {
    let text = || proptest::option::of("[a-z0-9-]{1,20}");
    let aggregate = proptest::option::of(("[a-z]{1,9}", "[a-z0-9/]{1,9}"));
    ("[a-z0-9-]{1,30}", 0_i64..4_000_000_000, aggregate, text(), text()).prop_map(
        |(id, seconds, aggregate, correlation_id, causation_id)| {
            let time = DateTime::<Utc>::from_timestamp(seconds, 0).expect("a time");
            let aggregate = aggregate.map(|(kind, id)| Aggregate::new(kind, id));
            DomainMeta { id, time, aggregate, correlation_id, causation_id }
        },
    )
}

proptest! {
    #[test]
    fn id_time_aggregate_and_correlation_are_kept_and_a_causation_is_set(meta in meta()) {
        let raised = Raised::with_meta(UserCreated { user_id: 7 }, meta.clone());
        let made = mapper().events_of(&raised.into()).expect("maps")[0].meta("user-service");
        prop_assert_eq!(&made.id, &meta.id);
        prop_assert_eq!(made.time, meta.time);
        prop_assert_eq!(made.aggregate, meta.aggregate.clone().or_else(|| Some(Aggregate::new("user", "7"))));
        prop_assert_eq!(made.correlation_id.as_deref(), Some(meta.conversation()));
        prop_assert_eq!(made.causation_id, meta.causation_id.clone().or(Some(meta.id)));
        prop_assert_eq!(&*made.source, "user-service");
    }

    #[test]
    fn several_have_ids_of_their_own_and_the_domain_event_for_their_cause(meta in meta()) {
        let raised = Raised::with_meta(UserMoved(vec!["Rome", "Oslo"]), meta.clone());
        let made: Vec<_> = mapper().events_of(&raised.into()).expect("maps").iter().map(|one| one.meta("s")).collect();
        prop_assert_ne!(&made[0].id, &made[1].id);
        for made in made {
            prop_assert_ne!(&made.id, &meta.id);
            prop_assert_eq!(made.causation_id.as_ref(), Some(&meta.id));
            prop_assert_eq!(made.correlation_id.as_deref(), Some(meta.conversation()));
            prop_assert_eq!(made.time, meta.time);
            prop_assert_eq!(made.aggregate, Some(Aggregate::new("address", "own")), "what it says itself goes before");
        }
    }
}

#[test]
fn what_is_said_of_the_integration_event_goes_before() {
    let mapper = EventMapper::new().map(|user: &UserCreated| {
        let event = UserRegistered { user_id: user.user_id };
        Outgoing::new(event).id("own").correlation_id("c").causation_id("d").key("k").topic("elsewhere").source("s")
    });
    let event = &mapper.events_of(&UserCreated { user_id: 7 }.into()).expect("maps")[0];
    let meta = event.meta("user-service");
    assert_eq!((&*meta.id, meta.correlation_id, meta.causation_id, &*meta.source), ("own", of("c"), of("d"), "s"));
    assert_eq!((event.key(), event.topic().as_deref()), (of("k"), Some("elsewhere")));
}

#[test]
fn a_domain_event_becomes_none_or_several_in_their_order() {
    let events = |cities: &[&'static str]| -> Vec<String> {
        mapper().events_of(&UserMoved(cities.to_vec()).into()).expect("maps").iter().map(shown).collect()
    };
    assert_eq!(events(&[]), [""; 0]);
    assert_eq!(events(&["Rome", "Oslo", "Bern"]), ["Rome", "Oslo", "Bern"]);
}

#[test]
fn what_nothing_is_said_about_is_passed_over_or_refused_by_name() {
    let unmapped: AnyDomainEvent = Unmapped.into();
    assert!(mapper().events_of(&unmapped).expect("passed over").is_empty());
    let error = mapper().require_all().events_of(&unmapped).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("the domain event `Unmapped`"), "{error}");
    let strict = mapper().require_all().ignore::<Unmapped>();
    assert!(strict.knows::<Unmapped>() && strict.events_of(&unmapped).expect("ignored").is_empty());
}

#[test]
fn a_domain_event_that_is_mapped_twice_is_refused_with_both_places() {
    let twice = mapper().map(|user: &UserCreated| UserRegistered { user_id: user.user_id });
    let error = twice.events_of(&UserCreated { user_id: 7 }.into()).expect_err("twice").to_string();
    assert!(error.starts_with("`UserCreated` is mapped at application/tests/support/mod.rs:"), "{error}");
    assert!(error.contains("and at application/tests/mapper.rs:"), "{error}");
}

#[test]
fn the_factory_fills_in_source_correlation_and_cause() {
    let factory = IntegrationEventFactory::new("user-service");
    let meta = |event: Outgoing<UserRegistered>| AnyEvent::from(event).meta("another");

    let raised = Raised::new(UserCreated { user_id: 7 });
    let made = meta(factory.from_domain(&raised, UserRegistered { user_id: 7 }));
    let domain = raised.meta();
    assert_eq!((&*made.source, made.time, &made.aggregate), ("user-service", domain.time, &domain.aggregate));
    assert_eq!((made.causation_id.as_ref(), made.correlation_id.as_ref()), (Some(&domain.id), Some(&domain.id)));
    assert_ne!(made.id, domain.id, "the fact for others is another one than the one within");

    let known = DomainMeta { correlation_id: of("c"), causation_id: of("d"), ..DomainMeta::new() };
    let raised = Raised::with_meta(UserCreated { user_id: 7 }, known);
    let made = meta(factory.from_domain(&raised, UserRegistered { user_id: 7 }));
    assert_eq!((made.correlation_id, made.causation_id), (of("c"), Some(raised.meta().id.clone())));

    let made = meta(factory.create(UserRegistered { user_id: 7 }));
    assert_eq!((&*made.source, made.correlation_id, made.causation_id), ("user-service", Some(made.id), None));
}

#[test]
fn a_factory_keeps_what_an_event_says_of_its_aggregate() {
    let raised = Raised::new(UserCreated { user_id: 7 });
    let made = IntegrationEventFactory::new("s").from_domain(&raised, AddressChanged("Rome".into()));
    assert_eq!(AnyEvent::from(made).meta("s").aggregate, Some(Aggregate::new("address", "own")));
}

#[test]
fn a_request_of_no_conversation_begins_one() {
    let meta = RequestMeta::here();
    assert_eq!((&meta.id, &meta.causation_id), (&meta.correlation_id, &None));
    let of_http = RequestMeta::correlated("from-http");
    assert_eq!((&*of_http.correlation_id, of_http.id == "from-http"), ("from-http", false));
    // From a client, which may say anything.
    for none in ["", "a\nb", &"x".repeat(257)] {
        let meta = RequestMeta::correlated(none);
        assert_eq!(meta.correlation_id, meta.id, "{none:?} is none");
    }
}

#[test]
fn a_mapping_that_panics_is_an_error_that_names_it() {
    let mapper = EventMapper::new().map(|_: &UserCreated| -> UserRegistered { panic!("in a mapping") });
    let error = mapper.events_of(&UserCreated { user_id: 7 }.into()).expect_err("panics").to_string();
    assert!(
        error.starts_with("mapping the domain event `UserCreated` panicked, at application/tests/mapper.rs:"),
        "{error}"
    );
}

#[test]
fn what_is_empty_in_a_domain_event_is_not_said_of_the_integration_event() {
    let empty = || Some(String::new());
    let meta = DomainMeta { id: String::new(), correlation_id: empty(), causation_id: empty(), ..DomainMeta::new() };
    let raised = Raised::with_meta(UserCreated { user_id: 7 }, meta);
    let made = mapper().events_of(&raised.into()).expect("maps")[0].meta("user-service");
    assert!(!made.id.is_empty(), "it has one of its own");
    assert_eq!((made.correlation_id, made.causation_id), (None, None));
}
