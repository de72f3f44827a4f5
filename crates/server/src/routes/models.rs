//! `GET /v1/models`.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::place::Place;
use crate::adapters::ServedAdapter;
use crate::app::App;
use crate::encoder::ServedEncoder;
use crate::wire::error::ApiError;

/// All names of the model, its adapters, and the encoder beside it.
pub(super) async fn list(State(app): State<App>) -> Json<Value> {
    let names = app.model().names.iter();
    let adapters = app.model().adapters.list();
    let data: Vec<Value> = names
        .map(|name| describe(&app, name))
        .chain(
            adapters
                .iter()
                .map(|adapter| describe_adapter(&app, adapter)),
        )
        .chain(
            app.model()
                .encoder
                .as_ref()
                .map(|it| describe_encoder(&app, it)),
        )
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
    let model = app.model();
    if model.names.contains(&name) {
        return Ok(Json(describe(&app, &name)));
    }
    let encoder = model.encoder.as_ref();
    if let Some(encoder) = encoder.filter(|encoder| encoder.name() == name) {
        return Ok(Json(describe_encoder(&app, encoder)));
    }
    match model.adapters.get(&name) {
        Some(adapter) => Ok(Json(describe_adapter(&app, &adapter))),
        None => Err(ApiError::model_not_found(&name, &model.known_names())),
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

/// As vLLM describes it: the folder is its root, the model its parent.
fn describe_adapter(app: &App, adapter: &ServedAdapter) -> Value {
    let mut described = describe(app, &adapter.name);
    described["root"] = adapter.path.display().to_string().into();
    described["parent"] = app.model().name().into();
    described
}

fn describe_encoder(app: &App, encoder: &ServedEncoder) -> Value {
    let mut described = describe(app, encoder.name());
    described["root"] = encoder.name().into();
    described["max_model_len"] = encoder.window().tokens.into();
    described
}
