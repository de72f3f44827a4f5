//! The routes, and what goes around every one of them.

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::auth::require_key;
use crate::wire::error::ApiError;

mod adapters;
mod body;
mod cache;
mod chat;
mod completions;
mod context;
mod dialect;
mod embeddings;
mod exchange;
mod health;
mod identity;
mod messages;
mod models;
mod ollama;
mod openapi;
mod place;
mod request_id;
mod requests;
mod responses;
mod tokenize;
mod traced;
mod web;

/// All routes of `app`.
pub fn router(app: &App) -> Router {
    let with_key = Router::new()
        .merge(generating_routes(app))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*name}", get(models::one))
        .route("/v1/responses/input_tokens", post(responses::input_tokens))
        .route(
            "/v1/responses/{id}",
            get(responses::one).delete(responses::delete),
        )
        .route(
            "/v1/responses/{id}/input_items",
            get(responses::input_items),
        )
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/load_lora_adapter", post(adapters::load))
        .route("/v1/unload_lora_adapter", post(adapters::unload))
        .route("/v1/requests", get(requests::list))
        .route("/v1/requests/{id}", get(requests::one))
        .route("/v1/cache/reset", post(cache::reset))
        .route("/tokenize", post(tokenize::tokenize))
        .route("/detokenize", post(tokenize::detokenize))
        .merge(context_routes())
        .layer(from_fn_with_state(app.clone(), require_key))
        .merge(
            message_routes(app)
                .layer(from_fn_with_state(app.clone(), require_key))
                .layer(from_fn(dialect::anthropic)),
        )
        .merge(
            ollama_routes(app)
                .layer(from_fn_with_state(app.clone(), require_key))
                .layer(from_fn(dialect::ollama)),
        );
    let mut open = Router::new()
        .route("/health", get(health::health))
        .route("/ping", get(health::health))
        .route("/ready", get(health::ready))
        .route("/version", get(health::version))
        .route("/metrics", get(health::metrics))
        .merge(openapi::routes(app));
    if app.has_web_ui() {
        open = open.merge(web::routes());
    }
    with_key
        .merge(open)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(|_| {
            ApiError::internal("The server has made a mistake.").into_response()
        }))
        .layer(from_fn_with_state(app.clone(), health::count))
        .layer(from_fn(request_id::identify))
        .with_state(app.clone())
}

/// Those that ask the engine for tokens.
fn generating_routes(app: &App) -> Router<App> {
    let routes = Router::new()
        .route("/v1/chat/completions", post(chat::complete))
        .route("/v1/completions", post(completions::complete))
        .route("/v1/responses", post(responses::create))
        .route("/v1/cache/warm", post(cache::warm));
    traced(app, routes)
}

/// Anthropic's.
fn message_routes(app: &App) -> Router<App> {
    let generating = Router::new().route("/v1/messages", post(messages::create));
    let counting = Router::new().route("/v1/messages/count_tokens", post(messages::count_tokens));
    traced(app, generating).merge(counting)
}

/// Ollama's.
fn ollama_routes(app: &App) -> Router<App> {
    let generating = Router::new()
        .route("/api/chat", post(ollama::chat))
        .route("/api/generate", post(ollama::generate));
    let asking = Router::new()
        .route("/api/tags", get(ollama::tags))
        .route("/api/show", post(ollama::show))
        .route("/api/version", get(ollama::version));
    traced(app, generating).merge(asking)
}

/// The same routes, of whose requests there are spans.
fn traced(app: &App, routes: Router<App>) -> Router<App> {
    match app.traces() {
        Some(traces) => routes.layer(from_fn_with_state(traces.clone(), traced::follow)),
        None => routes,
    }
}

fn context_routes() -> Router<App> {
    use context::{compact, count, feedback, memory, plan, policy, probe};
    Router::new()
        .route("/v1/context/compact", post(compact::compact))
        .route("/v1/context/count", post(count::count))
        .route("/v1/context/feedback", post(feedback::give))
        .route("/v1/context/feedback/{plan_id}", get(feedback::read))
        .route("/v1/context/plan", post(plan::plan))
        .route("/v1/context/policy", get(policy::list))
        .route("/v1/context/policy/{name}", get(policy::one))
        .route("/v1/context/probe", post(probe::probe))
        .route("/v1/context/restore", post(memory::restore))
        .route("/v1/context/memory/{namespace}", post(memory::run))
        .route(
            "/v1/context/memory/{namespace}/search",
            post(memory::search),
        )
        .route(
            "/v1/context/memory/{namespace}/files/{*path}",
            get(memory::read).put(memory::write).delete(memory::remove),
        )
}

async fn not_found(uri: axum::http::Uri) -> Response {
    let message = format!("There is nothing at {}.", uri.path());
    ApiError::http(StatusCode::NOT_FOUND, message).into_response()
}

async fn method_not_allowed(method: axum::http::Method, uri: axum::http::Uri) -> Response {
    let message = format!("{} does not take {method}.", uri.path());
    ApiError::http(StatusCode::METHOD_NOT_ALLOWED, message).into_response()
}
