//! `GET /v1/models`.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::place::Place;
use crate::app::App;
use crate::wire::error::ApiError;

/// All names of the model.
pub(super) async fn list(State(app): State<App>) -> Json<Value> {
    let data: Vec<Value> = app
        .model()
        .names
        .iter()
        .map(|name| describe(&app, name))
        .collect();
    Json(json!({"object": "list", "data": data}))
}

/// One of them.
///
/// # Errors
/// 404 for another name.
pub(super) async fn one(
    State(app): State<App>,
    Place(name): Place<String>,
) -> Result<Json<Value>, ApiError> {
    let names = &app.model().names;
    if names.contains(&name) {
        Ok(Json(describe(&app, &name)))
    } else {
        Err(ApiError::model_not_found(&name, names))
    }
}

fn describe(app: &App, name: &str) -> Value {
    json!({
        "id": name,
        "object": "model",
        "created": app.started(),
        "owned_by": "purser",
        "root": app.model().name(),
        "parent": null,
        "max_model_len": app.model().window.tokens,
    })
}
