//! `GET /v1/requests` and `GET /v1/requests/{id}`: what became of recent requests.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::place::Place;
use crate::app::App;
use crate::auth::Caller;
use crate::wire::error::ApiError;
use crate::wire::request_record;

/// Records that are listed when the query does not say.
const DEFAULT_LIMIT: usize = 20;
/// Records that are listed at most: each is compared with all before it.
const MAX_LIMIT: usize = 100;

/// The query of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<String>,
}

/// The caller's last requests, the newest first.
///
/// # Errors
/// When the limit is none.
pub(super) async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::field("limit", error.body_text()))?;
    let limit = match query.limit.as_deref() {
        None => DEFAULT_LIMIT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=MAX_LIMIT).contains(limit))
            .ok_or_else(|| {
                let message = format!("`limit` must be a number from 1 to {MAX_LIMIT}.");
                ApiError::field("limit", message)
            })?,
    };
    check_on(&app)?;
    let data = tell(&app, move |app| {
        let records = app.records().latest(caller.tenant(), limit);
        let tokenizer = &app.model().tokenizer;
        let told = records
            .iter()
            .map(|record| request_record::record(record, app.records(), tokenizer));
        Ok(told.collect::<Vec<_>>())
    })
    .await?;
    Ok(Json(json!({"object": "list", "data": data})))
}

/// One of the caller's requests, by the id of its answer.
///
/// # Errors
/// 404 when there is none of that name, or it is forgotten.
pub(super) async fn one(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
) -> Result<Json<Value>, ApiError> {
    check_on(&app)?;
    let told = tell(&app, move |app| {
        let record = app.records().get(&id, caller.tenant()).ok_or_else(|| {
            let message =
                format!("There is no record of a request `{id}`; old ones are forgotten.");
            ApiError::http(StatusCode::NOT_FOUND, message)
        })?;
        let tokenizer = &app.model().tokenizer;
        Ok(request_record::record(&record, app.records(), tokenizer))
    })
    .await?;
    Ok(Json(told))
}

/// Comparing prompts takes milliseconds when many are long: not where tokens are sent.
async fn tell<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&App) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let shared = app.clone();
    app.text_pool().run(move || work(&shared)).await
}

fn check_on(app: &App) -> Result<(), ApiError> {
    if app.records().is_on() {
        return Ok(());
    }
    let message = "This server keeps no records of requests (--request-records 0).";
    Err(ApiError::http(StatusCode::NOT_FOUND, message))
}
