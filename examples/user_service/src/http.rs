//! The face of the user service: `POST /users`, `GET /users/{id}`, `PUT /users/{id}/email`, health.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use gulo::bus::Monitor;
use gulo::mediator::{Mediate, RequestError, RequestErrorKind, RequestMeta};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::sleep;
use uuid::Uuid;

use crate::commands::{ChangeEmail, EmailTaken, Find, NoSuchUser, Register};
use crate::stop_signal;
use crate::users::Application;

const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");

#[derive(Clone)]
struct Face {
    application: Arc<Application>,
    monitor: Monitor,
}

/// What it answers.
pub fn router(application: Arc<Application>, monitor: Monitor) -> Router {
    Router::new()
        .route("/users", post(register))
        .route("/users/{id}", get(find))
        .route("/users/{id}/email", put(change_email))
        .route("/health/live", get(async || "alive\n"))
        .route("/health/ready", get(ready))
        .with_state(Face { application, monitor })
}

/// Requests under way have this long when it is told to stop: longer than a publish takes. With what the bus has then it is
/// less than an orchestrator waits before it kills (30 s in Kubernetes).
const REQUESTS_WITHIN: Duration = Duration::from_secs(8);

/// Serves until it is told to stop. Then it takes nothing new, and those under way are answered; a client that does not
/// come to its end, or a second signal, ends it all the same.
///
/// # Errors
///
/// Where this process cannot be told of signals.
pub async fn serve(listener: TcpListener, router: Router) -> std::io::Result<()> {
    let (stop, stopping) = oneshot::channel::<()>();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async { drop(stopping.await) });
    let mut serving = pin!(serving.into_future());
    tokio::select! {
        ended = &mut serving => return ended,
        told = stop_signal() => told?,
    }
    drop(stop);
    tokio::select! {
        ended = &mut serving => return ended,
        () = sleep(REQUESTS_WITHIN) => {}
        again = stop_signal() => again?,
    }
    tracing::warn!("requests under way are not waited for");
    Ok(())
}

#[derive(Deserialize)]
struct NewUser {
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
}

#[derive(Deserialize)]
struct NewEmail {
    email: String,
}

async fn register(Shared(face): Shared<Face>, headers: HeaderMap, Json(new): Json<NewUser>) -> Response {
    let meta = conversation(&headers);
    let answer = face.application.send_as(Register { name: new.name, email: new.email }, meta.clone()).await;
    let answer = answer.map(|id| {
        let location = [(header::LOCATION, format!("/users/{id}"))];
        (StatusCode::CREATED, location, Json(json!({ "id": id }))).into_response()
    });
    answered(answer, &meta)
}

async fn change_email(
    Shared(face): Shared<Face>,
    Path(user_id): Path<Uuid>,
    headers: HeaderMap,
    Json(new): Json<NewEmail>,
) -> Response {
    let meta = conversation(&headers);
    let answer = face.application.send_as(ChangeEmail { user_id, email: new.email }, meta.clone()).await;
    answered(answer.map(|()| StatusCode::NO_CONTENT.into_response()), &meta)
}

async fn find(Shared(face): Shared<Face>, Path(user_id): Path<Uuid>, headers: HeaderMap) -> Response {
    let meta = conversation(&headers);
    let answer = face.application.send_as(Find { user_id }, meta.clone()).await;
    let found = answer.map(|user| match user {
        Some(user) => Json(user).into_response(),
        None => problem(StatusCode::NOT_FOUND, "there is no such user"),
    });
    answered(found, &meta)
}

/// The conversation that the caller is in, or a new one.
fn conversation(headers: &HeaderMap) -> RequestMeta {
    let said = headers.get(CORRELATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    RequestMeta::correlated(said)
}

/// Says which conversation it was, whatever the answer.
fn answered(answer: Result<Response, RequestError>, meta: &RequestMeta) -> Response {
    let mut response = answer.unwrap_or_else(|error| refused(&error));
    if let Ok(said) = meta.correlation_id.parse() {
        response.headers_mut().insert(CORRELATION, said);
    }
    response
}

fn refused(error: &RequestError) -> Response {
    match error.kind() {
        RequestErrorKind::Invalid => {
            let problems: Vec<_> =
                error.problems().iter().map(|one| json!({ "field": one.field, "problem": one.problem })).collect();
            (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "problems": problems }))).into_response()
        }
        _ if error.downcast_ref::<EmailTaken>().is_some() => problem(StatusCode::CONFLICT, "the address is taken"),
        _ if error.downcast_ref::<NoSuchUser>().is_some() => problem(StatusCode::NOT_FOUND, "there is no such user"),
        // The room for what could not be published is full.
        RequestErrorKind::NotPublished => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "stored, and not told to others yet")
        }
        _ => problem(StatusCode::INTERNAL_SERVER_ERROR, "it is in the log"),
    }
}

fn problem(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "problem": text }))).into_response()
}

/// 503 while the broker is away, or a group stands still.
async fn ready(Shared(face): Shared<Face>) -> Response {
    let health = face.monitor.health();
    let status = if health.is_up() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let kept = face.application.kept().map_or(0, gulo::publishing::KeptEvents::len);
    (status, Json(json!({ "kept_events": kept, "bus": health }))).into_response()
}
