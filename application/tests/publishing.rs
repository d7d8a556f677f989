//! What requests led to is published when they have succeeded, as one batch; and what becomes of it where it cannot be.

mod support;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gulo_application::domain::{self, Events, NotCollected};
use gulo_application::mapper::EventMapper;
use gulo_application::mediator::{
    Handled, Mediate, Mediator, Request, RequestError, RequestErrorKind, RequestMeta, State,
};
use gulo_application::publishing::{
    IntegrationEventMediator, OnPublishFailure, PublishIntegrationEvents, integration_event_mediator,
};
use gulo_bus_core::transport::Outcome::{NotSent, Refused, Unknown};
use tokio::time::sleep;

use support::{AddressChanged, Scripted, Unmapped, UserCreated, UserMoved, mapper};

/// Creates one user, who then moves.
struct Create(u64);
impl Request for Create {
    type Response = u64;
}

struct Fail(Option<u64>);
impl Request for Fail {
    type Response = ();
}

/// Both, one within the other; whether it fails itself.
struct Both {
    fails: bool,
}
impl Request for Both {
    type Response = ();
}

async fn create(Create(user_id): Create, events: Events) -> Result<Handled<u64>, NotCollected> {
    domain::raise(UserCreated { user_id })?;
    events.emit(AddressChanged(format!("emitted by {user_id}")))?;
    domain::raise(Unmapped)?;
    Ok(Handled::new(user_id).raise(UserMoved(vec!["Rome", "Oslo"])))
}

async fn fail(Fail(user_id): Fail, events: Events) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if let Some(user_id) = user_id {
        events.raise(UserCreated { user_id })?;
    }
    Err("rolled back".into())
}

async fn both(Both { fails }: Both, mediator: Mediator, events: Events) -> Result<(), RequestError> {
    events.emit(AddressChanged("first".into())).expect("collected");
    mediator.send(Fail(Some(666))).await.expect_err("fails, and its events with it");
    mediator.send(Create(1)).await?;
    events.emit(AddressChanged("last".into())).expect("collected");
    if fails { mediator.send(Fail(None)).await } else { Ok(()) }
}

fn plain() -> Mediator {
    Mediator::builder().handle(create).handle(fail).handle(both).build().expect("builds")
}

fn publishing(publisher: &Arc<Scripted>, on_failure: OnPublishFailure) -> IntegrationEventMediator<Mediator> {
    let publisher = Arc::clone(publisher);
    integration_event_mediator(plain(), publisher, mapper(), on_failure).expect("sets up")
}

fn one(user: u64) -> [String; 4] {
    [user.to_string(), format!("emitted by {user}"), "Rome".to_owned(), "Oslo".to_owned()]
}

#[tokio::test]
async fn all_that_a_request_led_to_is_one_batch_in_its_order_and_of_its_conversation() {
    let publisher = Scripted::new();
    let mediator = publishing(&publisher, OnPublishFailure::FailRequest);
    let meta = RequestMeta::correlated("http-1");
    assert_eq!(mediator.send_as(Create(7), meta.clone()).await.expect("handled"), 7);
    assert_eq!(publisher.batches(), [one(7)]);
    for made in publisher.metas() {
        assert_eq!(made.correlation_id.as_deref(), Some("http-1"));
        assert!(made.causation_id.is_some());
    }
    let [created, emitted, rome, oslo] = &publisher.metas()[..] else { panic!("four") };
    assert_eq!((created.causation_id.as_ref(), emitted.causation_id.as_ref()), (Some(&meta.id), Some(&meta.id)));
    assert_eq!((&rome.causation_id, rome.id == oslo.id), (&oslo.causation_id, false));
}

#[tokio::test]
async fn nothing_of_a_request_that_failed_is_published() {
    let publisher = Scripted::new();
    let mediator = publishing(&publisher, OnPublishFailure::FailRequest);
    mediator.send(Fail(Some(1))).await.expect_err("fails");
    mediator.send(Both { fails: true }).await.expect_err("fails");
    assert!(publisher.batches().is_empty(), "{:?}", publisher.batches());
}

/// One batch, when the outer one has succeeded; what failed within it is not in it.
#[tokio::test]
async fn requests_within_a_request_are_published_with_it() {
    let publisher = Scripted::new();
    let mediator = publishing(&publisher, OnPublishFailure::FailRequest);
    mediator.send(Both { fails: false }).await.expect("handled");
    let all = [&["first".to_owned()][..], &one(1), &["last".to_owned()]].concat();
    assert_eq!(publisher.batches(), [all]);
}

/// Also where the handler has the wrapper itself in its hands.
#[tokio::test]
async fn a_request_sent_through_the_wrapper_within_a_request_is_published_with_it_or_not_at_all() {
    type Itself = Arc<std::sync::OnceLock<IntegrationEventMediator<Mediator>>>;
    let outer = async |Both { fails }: Both, State(itself): State<Itself>| -> Result<(), RequestError> {
        let itself = itself.get().expect("set up");
        itself.send(Create(1)).await?;
        if fails { itself.send(Fail(None)).await } else { Ok(()) }
    };
    let (publisher, itself) = (Scripted::new(), Itself::default());
    let mediator = Mediator::builder().handle(create).handle(fail).handle(outer).state(Arc::clone(&itself));
    let mediator = mediator.build().expect("builds");
    let mediator =
        integration_event_mediator(mediator, Arc::clone(&publisher) as _, mapper(), OnPublishFailure::FailRequest);
    itself.set(mediator.expect("sets up")).expect("once");
    let mediator = itself.get().expect("set up");
    mediator.send(Both { fails: true }).await.expect_err("fails");
    assert!(publisher.batches().is_empty(), "{:?}", publisher.batches());
    mediator.send(Both { fails: false }).await.expect("handled");
    assert_eq!(publisher.batches(), [one(1)]);
}

#[tokio::test]
async fn the_behaviour_does_the_same_as_the_wrapper_and_both_together_publish_once() {
    for wrapped in [false, true] {
        let publisher = Scripted::new();
        let as_dyn = || Arc::clone(&publisher) as Arc<dyn gulo_bus_core::event_publisher::EventPublisher>;
        let behaviour =
            PublishIntegrationEvents::new(as_dyn(), mapper(), OnPublishFailure::FailRequest).expect("sets up");
        let mediator = Mediator::builder().behaviour(behaviour).handle(create).handle(fail).handle(both);
        let mediator = mediator.build().expect("builds");
        if wrapped {
            let mediator = integration_event_mediator(mediator, as_dyn(), mapper(), OnPublishFailure::FailRequest);
            mediator.expect("sets up").send(Both { fails: false }).await.expect("handled");
        } else {
            mediator.send(Both { fails: false }).await.expect("handled");
            mediator.send(Both { fails: true }).await.expect_err("fails");
        }
        let all = [&["first".to_owned()][..], &one(1), &["last".to_owned()]].concat();
        assert_eq!(publisher.batches(), [all], "wrapped: {wrapped}");
    }
}

/// A mediator of somebody else's hands out nothing: its handlers raise what happens.
#[tokio::test]
async fn any_mediator_can_be_wrapped() {
    struct Theirs;
    impl Mediate for Theirs {
        async fn send_as<R: Request>(&self, request: R, _: RequestMeta) -> Result<R::Response, RequestError> {
            let request: Box<dyn std::any::Any + Send> = Box::new(request);
            let Create(user_id) = *request.downcast::<Create>().expect("knows only this one");
            domain::raise(UserCreated { user_id }).expect("collected");
            domain::emit(AddressChanged("theirs".into())).expect("collected");
            let response: Box<dyn std::any::Any> = Box::new(user_id);
            Ok(*response.downcast().expect("its response"))
        }
    }
    let publisher = Scripted::new();
    let mediator =
        integration_event_mediator(Theirs, Arc::clone(&publisher) as _, mapper(), OnPublishFailure::FailRequest);
    assert_eq!(mediator.expect("sets up").send(Create(7)).await.expect("handled"), 7);
    assert_eq!(publisher.batches(), [["7", "theirs"]]);
}

#[tokio::test]
async fn a_task_that_a_handler_spawns_takes_its_events_along() {
    let spawns = async |Create(user_id): Create, events: Events| {
        let raising = tokio::spawn(async move { events.raise(UserCreated { user_id }) });
        raising.await.expect("ends").map(|()| user_id)
    };
    let publisher = Scripted::new();
    let mediator = Mediator::builder().handle(spawns).build().expect("builds");
    let mediator =
        integration_event_mediator(mediator, Arc::clone(&publisher) as _, mapper(), OnPublishFailure::FailRequest);
    mediator.expect("sets up").send(Create(7)).await.expect("handled");
    assert_eq!(publisher.batches(), [["7"]]);
}

#[tokio::test]
async fn a_request_fails_where_publishing_fails_and_says_that_it_was_handled() {
    let publisher = Scripted::new().fails(&[(0, NotSent), (2, Unknown)]);
    let mediator = publishing(&publisher, OnPublishFailure::FailRequest);
    let error = mediator.send(Create(7)).await.expect_err("not published");
    assert_eq!(error.kind(), RequestErrorKind::NotPublished);
    assert!(
        error.to_string().starts_with("command `Create` was handled, and what it led to is not published: "),
        "{error}"
    );
    assert_eq!(error.unsent().expect("says what").failed.len(), 2);
    assert!(mediator.kept().is_none());
}

#[tokio::test]
async fn a_domain_event_that_must_be_mapped_and_is_not_fails_its_request() {
    let publisher = Scripted::new();
    let mediator = integration_event_mediator(
        plain(),
        Arc::clone(&publisher) as _,
        mapper().require_all(),
        OnPublishFailure::FailRequest,
    );
    let error = mediator.expect("sets up").send(Create(7)).await.expect_err("unmapped");
    assert_eq!(error.kind(), RequestErrorKind::NotPublished);
    assert!(error.to_string().contains("the domain event `Unmapped`"), "{error}");
    assert!(publisher.batches().is_empty());
}

#[test]
fn a_mapper_with_two_mappings_of_one_event_is_refused_at_once() {
    let twice = mapper().ignore::<UserCreated>();
    let error = integration_event_mediator(plain(), Scripted::new(), twice, OnPublishFailure::FailRequest);
    assert!(error.expect_err("twice").to_string().starts_with("`UserCreated` is mapped at"));
}

/// What the hook was told: request, events, kept.
type Told = Arc<Mutex<Vec<(String, Vec<String>, bool)>>>;

fn keep(told: &Told) -> OnPublishFailure {
    let told = Arc::clone(told);
    OnPublishFailure::keep("alarm", move |failure| {
        let events = failure.events.iter().map(support::shown).collect();
        told.lock().expect("whole").push((failure.request.to_owned(), events, failure.kept));
    })
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_reported_and_published_again_by_itself_with_the_same_ids() {
    let (publisher, told) = (Scripted::new(), Told::default());
    publisher.fails(&[(0, NotSent), (1, NotSent), (2, Unknown), (3, NotSent)]).fails(&[(1, NotSent)]);
    let mediator = publishing(&publisher, keep(&told));
    assert_eq!(mediator.send(Create(7)).await.expect("it was handled"), 7);
    assert_eq!(*told.lock().expect("whole"), [("command `Create`".to_owned(), one(7).to_vec(), true)]);
    let kept = mediator.kept().expect("keeps").clone();
    assert_eq!(kept.len(), 4);
    sleep(Duration::from_secs(60)).await;
    assert!(kept.is_empty());
    let second = one(7).to_vec();
    assert_eq!(publisher.batches(), [one(7).to_vec(), second, vec![one(7)[1].clone()]], "only what was not confirmed");
    let ids: Vec<_> = publisher.metas().into_iter().map(|meta| (meta.id, meta.time)).collect();
    assert_eq!((&ids[..4], &ids[8]), (&ids[4..8], &ids[1]), "each as it was at first");
    assert_eq!(told.lock().expect("whole").len(), 1, "reported once");
}

/// A message of one key that overtook another would be handled before it.
#[tokio::test(start_paused = true)]
async fn what_comes_after_what_is_kept_does_not_overtake_it_and_does_not_wait() {
    let (publisher, told) = (Scripted::new(), Told::default());
    publisher.fails(&[(0, NotSent), (1, NotSent), (2, NotSent), (3, NotSent)]);
    publisher.fails(&[(2, NotSent), (3, NotSent), (4, NotSent), (5, NotSent), (6, NotSent), (7, NotSent)]);
    let mediator = publishing(&publisher, keep(&told));
    mediator.send(Create(1)).await.expect("handled");
    mediator.send(Create(2)).await.expect("handled");
    assert_eq!((mediator.kept().expect("keeps").len(), publisher.batches().len()), (8, 1), "it is not tried");
    mediator.kept().expect("keeps").retry().await.expect_err("fails in part");
    mediator.send(Create(3)).await.expect("handled");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(mediator.kept().expect("keeps").len(), 0);
    mediator.send(Create(4)).await.expect("handled");
    let batches = publisher.batches();
    assert_eq!(batches[1], [one(1), one(2)].concat());
    assert_eq!(batches[2], [&one(1)[2..], &one(2), &one(3)].concat());
    assert_eq!((&batches[3], batches.len()), (&one(4).to_vec(), 4));
    let told = told.lock().expect("whole");
    let of: Vec<_> = told.iter().map(|(_, events, _)| events.clone()).collect();
    assert_eq!(of, [one(1).to_vec(), one(2).to_vec(), one(3).to_vec()]);
}

/// Those that come while others are being published again stay behind them, and none is lost.
#[tokio::test(start_paused = true)]
async fn what_is_kept_while_others_are_tried_again_stays_behind_them() {
    let (publisher, told) = (Scripted::new(), Told::default());
    let all = (0..4).map(|place| (place, NotSent)).collect::<Vec<_>>();
    publisher.fails(&all).fails(&[(3, NotSent)]);
    let mediator = publishing(&publisher, keep(&told));
    mediator.send(Create(1)).await.expect("kept");
    let kept = mediator.kept().expect("keeps");
    let (tried, sent) = tokio::join!(kept.retry(), mediator.send(Create(2)));
    tried.expect_err("in part");
    sent.expect("kept");
    kept.retry().await.expect("published");
    assert_eq!(publisher.batches()[2], [&one(1)[3..], &one(2)].concat());
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_reported_and_holds_up_nothing() {
    let (publisher, told) = (Scripted::new(), Told::default());
    // A bus holds the whole batch back for one that it refuses.
    publisher.fails(&[(1, Refused), (0, NotSent), (2, NotSent), (3, NotSent)]);
    let mediator = publishing(&publisher, keep(&told));
    mediator.send(Create(7)).await.expect("handled");
    assert_eq!(*told.lock().expect("whole"), [("command `Create`".to_owned(), vec![one(7)[1].clone()], false)]);
    assert!(mediator.kept().expect("keeps").is_empty());
    assert_eq!(publisher.batches()[1], [&one(7)[..1], &one(7)[2..]].concat());
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_more_room_requests_fail_and_nothing_is_thrown_away() {
    let (publisher, told) = (Scripted::new(), Told::default());
    let all = |count| (0..count).map(|place| (place, NotSent)).collect::<Vec<_>>();
    publisher.fails(&all(4)).fails(&all(8));
    let mediator = publishing(&publisher, keep(&told).at_most(7));
    mediator.send(Create(1)).await.expect("kept");
    let error = mediator.send(Create(2)).await.expect_err("no room");
    assert_eq!(error.kind(), RequestErrorKind::NotPublished);
    assert!(error.to_string().contains("4 events that could not be published are kept already"), "{error}");
    assert_eq!(mediator.kept().expect("keeps").len(), 4);
    let taken = mediator.kept().expect("keeps").take().await;
    assert_eq!(taken.iter().map(support::shown).collect::<Vec<_>>(), one(1));
    assert!(mediator.kept().expect("keeps").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_retry_by_hand_says_what_is_still_not_published() {
    let (publisher, told) = (Scripted::new(), Told::default());
    let all = (0..4).map(|place| (place, NotSent)).collect::<Vec<_>>();
    publisher.fails(&all).fails(&all);
    let mediator = publishing(&publisher, keep(&told));
    mediator.send(Create(1)).await.expect("kept");
    let kept = mediator.kept().expect("keeps");
    assert_eq!(kept.retry().await.expect_err("still away").failed.len(), 4);
    kept.retry().await.expect("published");
    assert!(kept.is_empty());
}

/// A server drops what it does for a client that hangs up. What was handled is no less true for that.
#[tokio::test(start_paused = true)]
async fn what_a_request_led_to_is_published_though_whoever_has_sent_it_is_gone() {
    for keeps in [false, true] {
        let (publisher, told) = (Scripted::new(), Told::default());
        let policy = if keeps { keep(&told) } else { OnPublishFailure::FailRequest };
        if keeps {
            publisher.fails(&(0..4).map(|place| (place, NotSent)).collect::<Vec<_>>());
        }
        let mediator = publishing(&publisher, policy);
        let mut sending = Box::pin(mediator.send(Create(1)));
        // Polled until it waits for the publisher, and no further.
        std::future::poll_fn(|cx| {
            assert!(sending.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        drop(sending);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(publisher.batches().last(), Some(&one(1).to_vec()), "keeps: {keeps}");
        assert!(mediator.kept().is_none_or(|kept| kept.is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_keeps_nobody_from_trying_again() {
    let publisher = Scripted::new();
    publisher.fails(&[(0, NotSent)]).fails(&[(0, Refused)]);
    let policy = OnPublishFailure::keep("broken", |_| panic!("the pager is out of battery"));
    let mediator = publishing(&publisher, policy);
    mediator.send(Create(1)).await.expect("kept");
    sleep(Duration::from_secs(60)).await;
    publisher.fails(&[(0, NotSent)]);
    mediator.send(Create(2)).await.expect("kept");
    sleep(Duration::from_secs(60)).await;
    assert!(mediator.kept().expect("keeps").is_empty());
    assert_eq!(publisher.batches().last(), Some(&one(2)[..1].to_vec()));
}

#[tokio::test]
async fn who_maps_nothing_publishes_nothing_and_needs_no_broker() {
    let publisher = Scripted::new();
    let create = async |_: Create, events: Events| events.raise(UserCreated { user_id: 7 }).map(|()| 7_u64);
    let mediator = Mediator::builder().handle(create).build().expect("builds");
    let nothing = EventMapper::new();
    let mediator =
        integration_event_mediator(mediator, Arc::clone(&publisher) as _, nothing, OnPublishFailure::FailRequest);
    mediator.expect("sets up").send(Create(7)).await.expect("handled");
    assert!(publisher.batches().is_empty());
}
