//! What happens in a request is collected by it, wherever its code runs; and who is too late is told so.

mod support;

use std::future::pending;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use gulo_application::domain::{self, Events, NotCollected, Raised};
use gulo_application::mediator::{
    Behaviour, BehaviourFor, Call, Mediate, Mediator, MediatorBuilder, Next, Request, RequestError, RequestFuture,
    State,
};
use gulo_application::publishing::{
    IntegrationEventMediator, OnPublishFailure, PublishIntegrationEvents, integration_event_mediator,
};

use support::{Scripted, UserCreated, mapper};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

struct Create(u64);
impl Request for Create {
    type Response = ();
}

struct CreateApart(u64);
impl Request for CreateApart {
    type Response = ();
}

async fn create(Create(user_id): Create) -> Result<(), NotCollected> {
    domain::raise(UserCreated { user_id })
}

/// Has another request handled in a task of its own.
async fn create_apart(CreateApart(user_id): CreateApart, mediator: Mediator) -> Result<(), BoxError> {
    Ok(tokio::spawn(async move { mediator.send(Create(user_id)).await }).await??)
}

fn wrapped(builder: MediatorBuilder, publisher: &Arc<Scripted>) -> IntegrationEventMediator<Mediator> {
    let mediator = builder.build().expect("builds");
    let publisher = Arc::clone(publisher);
    integration_event_mediator(mediator, publisher, mapper(), OnPublishFailure::FailRequest).expect("sets up")
}

fn behaviour(publisher: &Arc<Scripted>) -> PublishIntegrationEvents {
    let publisher = Arc::clone(publisher);
    PublishIntegrationEvents::new(publisher, mapper(), OnPublishFailure::FailRequest).expect("sets up")
}

#[tokio::test]
async fn a_request_that_a_handler_sends_from_a_task_of_its_own_is_published_with_it() {
    let publisher = Scripted::new();
    let mediator = wrapped(Mediator::builder().handle(create).handle(create_apart), &publisher);
    mediator.send(CreateApart(7)).await.expect("handled");
    assert_eq!(publisher.batches(), [["7"]]);
}

/// Runs what it stands around in a task of its own, as who wants to catch panics does.
struct Apart;
impl Behaviour for Apart {
    fn wrap(&self, _: &Call, inner: RequestFuture) -> RequestFuture {
        Box::pin(async { tokio::spawn(inner).await.expect("no panic") })
    }
}

#[tokio::test]
async fn a_behaviour_may_have_the_rest_done_in_a_task_of_its_own() {
    let publisher = Scripted::new();
    let builder = Mediator::builder().behaviour(Apart).behaviour(behaviour(&publisher)).handle(create);
    builder.build().expect("builds").send(Create(7)).await.expect("handled");
    let mediator = wrapped(Mediator::builder().behaviour(Apart).handle(create), &publisher);
    mediator.send(Create(8)).await.expect("handled");
    assert_eq!(publisher.batches(), [["7"], ["8"]]);
}

/// Raises one more when the handler has succeeded.
struct OneMore;
impl BehaviourFor<Create> for OneMore {
    fn handle(&self, request: Create, next: Next<Create>) -> BoxFuture<'static, Result<(), RequestError>> {
        Box::pin(async {
            next.run(request).await?;
            domain::raise(UserCreated { user_id: 99 }).expect("collected");
            Ok(())
        })
    }
}

type Told = Arc<Mutex<Vec<u64>>>;

async fn tell(user: Raised<UserCreated>, State(told): State<Told>) {
    told.lock().expect("whole").push(user.user_id);
}

#[tokio::test]
async fn what_a_behaviour_raises_after_the_handler_is_told_and_published_too() {
    let (publisher, told) = (Scripted::new(), Told::default());
    let builder = Mediator::builder().behaviour_for(OneMore).handle(create).on(tell).state(Arc::clone(&told));
    wrapped(builder, &publisher).send(Create(7)).await.expect("handled");
    assert_eq!(*told.lock().expect("whole"), [7, 99]);
    assert_eq!(publisher.batches(), [["7", "99"]]);
}

/// What nobody would publish any more.
#[tokio::test]
async fn who_raises_outside_of_the_behaviour_that_publishes_is_too_late() {
    struct TooLate;
    impl Behaviour for TooLate {
        fn wrap(&self, _: &Call, inner: RequestFuture) -> RequestFuture {
            Box::pin(async {
                inner.await?;
                domain::raise(UserCreated { user_id: 99 }).expect_err("too late");
                Ok(())
            })
        }
    }
    let publisher = Scripted::new();
    let builder = Mediator::builder().behaviour(TooLate).behaviour(behaviour(&publisher)).handle(create);
    builder.build().expect("builds").send(Create(7)).await.expect("handled");
    assert_eq!(publisher.batches(), [["7"]]);
}

type Kept = Arc<Mutex<Option<Events>>>;

/// The caller hung up, or the handler panicked.
#[tokio::test]
async fn who_raises_in_a_request_that_was_dropped_is_told_that_it_is_too_late() {
    let hanging = async |_: Create, State(kept): State<Kept>, events: Events| {
        *kept.lock().expect("whole") = Some(events);
        pending::<()>().await;
    };
    let (publisher, kept) = (Scripted::new(), Kept::default());
    let mediator = wrapped(Mediator::builder().handle(hanging).state(Arc::clone(&kept)), &publisher);
    tokio::select! {
        biased;
        _ = mediator.send(Create(7)) => panic!("hangs"),
        () = tokio::task::yield_now() => {}
    }
    let events = kept.lock().expect("whole").take().expect("was called");
    assert_eq!(events.raise(UserCreated { user_id: 7 }), Err(NotCollected));
}

struct CreateMany(u64);
impl Request for CreateMany {
    type Response = ();
}

#[tokio::test]
async fn a_request_may_raise_any_number_of_events() {
    let many = async |CreateMany(count): CreateMany, events: Events| -> Result<(), NotCollected> {
        (0..count).try_for_each(|user_id| events.raise(UserCreated { user_id }))
    };
    let told = Told::default();
    let mediator = Mediator::builder().handle(many).on(tell).state(Arc::clone(&told)).build().expect("builds");
    mediator.send(CreateMany(20_000)).await.expect("handled");
    assert_eq!(told.lock().expect("whole").len(), 20_000);
}
