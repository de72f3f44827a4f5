//! `GET /v1/responses/{id}/input_items`: what a response's request added to the conversation.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::not_found;
use crate::app::App;
use crate::auth::Caller;
use crate::routes::place::Place;
use crate::wire::error::ApiError;

/// Items that are listed when the query does not say.
const DEFAULT_LIMIT: usize = 20;
/// Items that are listed at most.
const MAX_LIMIT: usize = 100;

/// The query of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct ListQuery {
    limit: Option<String>,
    order: Option<String>,
    after: Option<String>,
}

/// A page of the items, the last one first unless the query says otherwise.
///
/// # Errors
/// 404 when the response is not kept; what is wrong with the query.
pub(in crate::routes) async fn input_items(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::field("limit", error.body_text()))?;
    let limit = limit(query.limit.as_deref())?;
    let stored = app.responses().get(caller.tenant(), &id);
    let stored = stored.ok_or_else(|| not_found(&id))?;
    let mut items: Vec<&Value> = stored.input.iter().collect();
    match query.order.as_deref() {
        None | Some("desc") => items.reverse(),
        Some("asc") => {}
        Some(_) => {
            let message = "`order` must be asc or desc.";
            return Err(ApiError::field("order", message));
        }
    }
    if let Some(after) = query.after {
        let at = items.iter().position(|item| item["id"] == after.as_str());
        let at = at.ok_or_else(|| {
            let message = format!("`after`: the response has no item {after:?}.");
            ApiError::field("after", message)
        })?;
        items.drain(..=at);
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    let end = |item: Option<&&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    Ok(Json(json!({
        "object": "list",
        "first_id": end(items.first()),
        "last_id": end(items.last()),
        "has_more": has_more,
        "data": items,
    })))
}

fn limit(text: Option<&str>) -> Result<usize, ApiError> {
    let Some(text) = text else {
        return Ok(DEFAULT_LIMIT);
    };
    let limit = text.parse().ok();
    let limit = limit.filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| {
        let message = format!("`limit` must be a number from 1 to {MAX_LIMIT}.");
        ApiError::field("limit", message)
    })
}
