//! Requests and their handlers, what stands around them, and who is told of what happened.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use gulo_application::domain::{self, DomainEvent, Events, Raised};
use gulo_application::mediator::{
    Behaviour, BehaviourFor, Call, Handled, Mediate, Mediator, Next, Problems, Request, RequestContext, RequestError,
    RequestErrorKind, RequestFuture, RequestHandler, RequestKind, RequestMeta, State, Timing, Validation,
};

use support::{UserCreated, UserMoved, UserRegistered};

type Log = Arc<Mutex<Vec<String>>>;

fn note(log: &Log, line: impl Into<String>) {
    log.lock().expect("whole").push(line.into());
}

fn lines(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().expect("whole"))
}

struct Create(u64);
impl Request for Create {
    type Response = u64;

    fn validate(&self, problems: &mut Problems) {
        problems.require(self.0 > 0, "id", "is not above 0");
        problems.require(self.0 != 0, "id", "is 0");
    }
}

struct Count;
impl Request for Count {
    type Response = Result<usize, String>;
    const KIND: RequestKind = RequestKind::Query;
}

async fn create(command: Create, State(log): State<Log>) -> u64 {
    note(&log, format!("create {}", command.0));
    command.0 + 1
}

fn failing() -> Mediator {
    let fail = async |_: Create| -> Result<u64, std::io::Error> { Err(std::io::Error::other("disk full")) };
    Mediator::builder().handle(fail).build().expect("builds")
}

#[tokio::test]
async fn functions_closures_and_types_handle_requests() {
    struct Counting(usize);
    impl RequestHandler<()> for Counting {
        type Request = Count;
        fn call(
            &self,
            _: Count,
            _: &RequestContext,
        ) -> BoxFuture<'static, Result<Result<usize, String>, RequestError>> {
            let count = self.0;
            Box::pin(async move { Ok(Ok(count)) })
        }
    }
    let log = Log::default();
    let mediator = Mediator::builder().handle(create).handle(Counting(3)).state(Arc::clone(&log)).build();
    let mediator = mediator.expect("builds");
    assert_eq!(mediator.send(Create(7)).await.expect("handled"), 8);
    assert_eq!(mediator.send(Count).await.expect("handled"), Ok(3));
    assert_eq!(lines(&log), ["create 7"]);
}

/// A response that is a `Result` is an answer, not a failure.
#[tokio::test]
async fn a_response_may_be_a_result_itself() {
    let mediator = Mediator::builder().handle(async |_: Count| Err::<usize, _>("none".to_owned())).build();
    assert_eq!(mediator.expect("builds").send(Count).await.expect("handled"), Err("none".to_owned()));
}

#[tokio::test]
async fn the_error_of_a_handler_can_be_had_again() {
    let error = failing().send(Create(7)).await.expect_err("fails");
    assert_eq!(error.kind(), RequestErrorKind::Failed);
    assert_eq!(error.to_string(), "command `Create` failed: disk full");
    assert_eq!(error.downcast_ref::<std::io::Error>().map(ToString::to_string).as_deref(), Some("disk full"));
}

#[tokio::test]
async fn a_request_that_nobody_handles_is_named() {
    let error = failing().send(Count).await.expect_err("nobody");
    assert_eq!(error.kind(), RequestErrorKind::NoHandler);
    assert!(error.to_string().starts_with("nobody handles query `Count` ("), "{error}");
}

#[test]
fn what_is_wrong_with_a_mediator_is_told_at_once_with_names_and_places() {
    let other = async |_: Create, _: State<String>| 1_u64;
    let around = async |request: Count, next: Next<Count>| next.run(request).await;
    let built = Mediator::builder().handle(create).handle(other).behaviour_for(around).state(1_u8).state(2_u8).build();
    let error = built.expect_err("wrong").to_string();
    for part in [
        "command `Create` has two handlers, `mediator::create` at application/tests/mediator.rs:",
        "and `mediator::what_is_wrong_with_a_mediator_is_told_at_once_with_names_and_places::{{closure}}` at",
        "takes a state of type alloc::string::String, and there is none: add `.state(..)`",
        "is for query `Count`, which nobody handles",
        "there are two states of type u8, the second at application/tests/mediator.rs:",
    ] {
        assert!(error.contains(part), "{part}\nis not in\n{error}");
    }
}

struct Named(&'static str, Log);

impl Behaviour for Named {
    fn wrap(&self, _: &Call, inner: RequestFuture) -> RequestFuture {
        let (name, log) = (self.0, Arc::clone(&self.1));
        Box::pin(async move {
            note(&log, format!("{name} before"));
            let result = inner.await;
            note(&log, format!("{name} after, {}", result.is_ok()));
            result
        })
    }
}

impl BehaviourFor<Create> for Named {
    fn handle(&self, Create(id): Create, next: Next<Create>) -> BoxFuture<'static, Result<u64, RequestError>> {
        let (name, log) = (self.0, Arc::clone(&self.1));
        Box::pin(async move {
            note(&log, format!("{name} before {id}"));
            let response = next.run(Create(id * 10)).await?;
            note(&log, format!("{name} after {response}"));
            Ok(response + 100)
        })
    }
}

#[tokio::test]
async fn behaviours_stand_in_the_order_in_which_they_were_added() {
    let log = Log::default();
    let named = |name| Named(name, Arc::clone(&log));
    let mediator = Mediator::builder()
        .behaviour(named("outer"))
        .behaviour_for::<Create>(named("typed"))
        .handle(create)
        .handle(async |_: Count| Ok::<_, String>(0))
        .behaviour(named("inner"))
        .state(Arc::clone(&log));
    let mediator = mediator.build().expect("builds");
    assert_eq!(mediator.send(Create(7)).await.expect("handled"), 171);
    let of_create =
        ["outer before", "typed before 7", "inner before", "create 70", "inner after, true", "typed after 71"];
    assert_eq!(lines(&log), [&of_create[..], &["outer after, true"]].concat());
    mediator.send(Count).await.expect("handled").expect("counted");
    assert_eq!(lines(&log), ["outer before", "inner before", "inner after, true", "outer after, true"]);
}

#[tokio::test]
async fn a_request_that_is_not_valid_is_refused_with_all_that_is_wrong() {
    let log = Log::default();
    let mediator = Mediator::builder()
        .behaviour(Named("outer", Arc::clone(&log)))
        .behaviour(Validation)
        .behaviour(Named("inner", Arc::clone(&log)))
        .handle(create)
        .state(Arc::clone(&log));
    let error = mediator.build().expect("builds").send(Create(0)).await.expect_err("refused");
    assert_eq!(error.kind(), RequestErrorKind::Invalid);
    assert_eq!(error.to_string(), "command `Create` is not valid: id is not above 0; id is 0");
    assert_eq!(error.problems().len(), 2);
    assert_eq!(lines(&log), ["outer before", "outer after, false"]);
}

#[tokio::test]
async fn a_behaviour_that_awaits_nothing_and_says_it_did_is_found_out() {
    struct Liar;
    impl Behaviour for Liar {
        fn wrap(&self, _: &Call, _: RequestFuture) -> RequestFuture {
            Box::pin(async { Ok(()) })
        }
    }
    let mediator = Mediator::builder().behaviour(Liar).handle(create).state(Log::default()).build().expect("builds");
    let error = mediator.send(Create(7)).await.expect_err("no answer").to_string();
    assert!(error.starts_with("command `Create` failed: a behaviour said that it succeeded"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn requests_are_timed() {
    let log = Log::default();
    let observed = Arc::clone(&log);
    let observer = move |call: &Call, took: Duration, succeeded: bool| {
        note(&observed, format!("{} {} {took:?} {succeeded}", call.kind, call.name));
    };
    let slow = async |_: Create| {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Err::<u64, _>("late")
    };
    let mediator = Mediator::builder().behaviour(Timing::observe(observer)).handle(slow).build().expect("builds");
    mediator.send(Create(7)).await.expect_err("fails");
    assert_eq!(lines(&log), ["command Create 2s false"]);
}

struct Told(&'static str);
impl DomainEvent for Told {}

#[tokio::test]
async fn every_handler_of_a_domain_event_is_told_even_where_one_fails() {
    let log = Log::default();
    let first = async |user: Raised<UserCreated>, State(log): State<Log>| note(&log, format!("first {}", user.user_id));
    let fails = async |_: Raised<UserCreated>| Err::<(), _>("out of ink");
    let last = async |_: Raised<UserCreated>, State(log): State<Log>, meta: RequestMeta| {
        note(&log, format!("last {}", meta.causation_id.is_none()));
    };
    let mediator = Mediator::builder().on(first).on(fails).on(last).state(Arc::clone(&log)).build().expect("builds");
    let error = mediator.notify(UserCreated { user_id: 7 }).await.expect_err("one failed").to_string();
    assert!(error.contains("of the domain event `UserCreated` failed: out of ink"), "{error}");
    assert_eq!(lines(&log), ["first 7", "last true"]);
    mediator.notify(UserMoved(Vec::new())).await.expect("nobody cares");
}

/// Raised by the handler, by what it calls, by what is told, and given back: all are told, in their order, before the
/// behaviours end.
#[tokio::test]
async fn what_happens_during_a_request_is_told_within_it() {
    let log = Log::default();
    let create = async |command: Create, events: Events| {
        events.raise(Told("by the handler"))?;
        domain::raise(Told("below the handler"))?;
        Ok::<_, domain::NotCollected>(Handled::new(command.0).raise(Told("given back")))
    };
    let told = async |event: Raised<Told>, State(log): State<Log>, events: Events| {
        note(&log, event.0);
        if event.0 == "given back" { events.raise(Told("by who was told")) } else { Ok(()) }
    };
    let mediator = Mediator::builder()
        .behaviour(Named("transaction", Arc::clone(&log)))
        .handle(create)
        .on(told)
        .state(Arc::clone(&log));
    mediator.build().expect("builds").send(Create(7)).await.expect("handled");
    let within = ["by the handler", "below the handler", "given back", "by who was told"];
    assert_eq!(lines(&log), [&["transaction before"][..], &within, &["transaction after, true"]].concat());
}

#[tokio::test]
async fn a_request_fails_where_who_is_told_fails() {
    let create = async |command: Create, events: Events| events.raise(Told("x")).map(|()| command.0);
    let mediator = Mediator::builder().handle(create).on(async |_: Raised<Told>| Err::<(), _>("no")).build();
    let error = mediator.expect("builds").send(Create(7)).await.expect_err("fails");
    assert_eq!(error.kind(), RequestErrorKind::Failed);
}

#[tokio::test]
async fn handlers_that_answer_each_other_for_ever_are_stopped() {
    let again = async |_: Raised<Told>, events: Events| events.raise(Told("again"));
    let create = async |command: Create, events: Events| events.raise(Told("x")).map(|()| command.0);
    let mediator = Mediator::builder().handle(create).on(again).build().expect("builds");
    let error = mediator.send(Create(7)).await.expect_err("stopped").to_string();
    assert!(error.contains("do they answer each other?"), "{error}");
}

/// A task that a handler has left behind raises into nothing, and is told so.
#[tokio::test]
async fn an_event_that_comes_too_late_is_an_error_and_so_is_one_outside_of_a_request() {
    assert!(domain::raise(Told("outside")).is_err());
    let create = async |_: Create| Events::current().ok_or("none").map(|_| 1_u64);
    let kept: Arc<Mutex<Option<Events>>> = Arc::default();
    let keeps = async |_: Count, events: Events, State(kept): State<Arc<Mutex<Option<Events>>>>| {
        *kept.lock().expect("whole") = Some(events);
        Ok::<usize, String>(0)
    };
    let mediator = Mediator::builder().handle(create).handle(keeps).state(Arc::clone(&kept)).build().expect("builds");
    mediator.send(Create(7)).await.expect("one is under way");
    mediator.send(Count).await.expect("handled").expect("0");
    let late = kept.lock().expect("whole").take().expect("kept").raise(Told("late"));
    assert!(late.expect_err("too late").to_string().starts_with("no request is under way that collects"));
}

/// Without anybody who publishes, an integration event would be gone without a word.
#[tokio::test]
async fn an_integration_event_that_nobody_publishes_fails_its_request() {
    let create = async |command: Create| Handled::new(command.0).emit(UserRegistered { user_id: 7 });
    let mediator = Mediator::builder().handle(create).build().expect("builds");
    let error = mediator.send(Create(7)).await.expect_err("nobody publishes");
    assert_eq!(error.kind(), RequestErrorKind::NotPublished);
    assert!(
        error.to_string().starts_with("command `Create` led to integration events, and nobody publishes"),
        "{error}"
    );
}

#[tokio::test]
async fn a_request_within_a_request_is_of_its_conversation_and_caused_by_it() {
    let seen: Arc<Mutex<Vec<RequestMeta>>> = Arc::default();
    type Seen = Arc<Mutex<Vec<RequestMeta>>>;
    let inner = async |_: Count, meta: RequestMeta, State(seen): State<Seen>| {
        seen.lock().expect("whole").push(meta);
        Ok::<usize, String>(0)
    };
    let outer = async |_: Create, mediator: Mediator, meta: RequestMeta, State(seen): State<Seen>| {
        seen.lock().expect("whole").push(meta);
        mediator.send(Count).await.map(|_| 1_u64)
    };
    let mediator = Mediator::builder().handle(inner).handle(outer).state(Arc::clone(&seen)).build().expect("builds");
    mediator.send_as(Create(7), RequestMeta::correlated("http-1")).await.expect("handled");
    let seen = seen.lock().expect("whole");
    let [outer, inner] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((&*outer.correlation_id, &*inner.correlation_id), ("http-1", "http-1"));
    assert_eq!((inner.causation_id.as_ref(), outer.causation_id.as_ref()), (Some(&outer.id), None));
}

/// By the inner request, and not by the outer one again.
#[tokio::test]
async fn what_happens_in_a_request_within_a_request_is_told_once() {
    let log = Log::default();
    let inner = async |command: Create, events: Events| events.raise(Told("within")).map(|()| command.0);
    let outer = async |_: Count, mediator: Mediator, events: Events| -> Result<Result<usize, String>, RequestError> {
        events.raise(Told("before")).expect("collected");
        mediator.send(Create(7)).await?;
        events.raise(Told("after")).expect("collected");
        Ok(Ok(0))
    };
    let told = async |event: Raised<Told>, State(log): State<Log>| note(&log, event.0);
    let mediator = Mediator::builder().handle(inner).handle(outer).on(told).state(Arc::clone(&log)).build();
    mediator.expect("builds").send(Count).await.expect("handled").expect("counted");
    assert_eq!(lines(&log), ["within", "before", "after"]);
}

#[tokio::test]
async fn the_error_of_a_request_within_stays_what_it_is() {
    let outer = async |_: Count, mediator: Mediator| -> Result<Result<usize, String>, RequestError> {
        Ok(Ok(usize::try_from(mediator.send(Create(0)).await?).expect("small")))
    };
    let mediator = Mediator::builder().behaviour(Validation).handle(create).handle(outer).state(Log::default());
    let error = mediator.build().expect("builds").send(Count).await.expect_err("fails");
    assert_eq!(error.kind(), RequestErrorKind::Invalid);
    assert_eq!(error.problems().len(), 2);
}
