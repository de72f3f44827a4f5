//! What tools ask of a server's models before they use one.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::app::App;
use crate::model::ServedModel;
use crate::routes::body::UntypedBody;
use crate::validate::fields::Fields;
use crate::validate::ollama;
use crate::wire::error::ApiError;

/// All names of the model.
pub(in crate::routes) async fn tags(State(app): State<App>) -> Json<Value> {
    let started = i64::try_from(app.started()).unwrap_or_default();
    let modified = chrono::DateTime::from_timestamp(started, 0).unwrap_or_default();
    let models = app.model().generating_names().into_iter().map(|name| {
        json!({
            "name": name,
            "model": name,
            "modified_at": modified.to_rfc3339(),
            "size": 0,
            "digest": "",
            "details": details(),
        })
    });
    Json(json!({"models": models.collect::<Vec<_>>()}))
}

/// What one of them can do.
///
/// # Errors
/// 404 for another name.
pub(in crate::routes) async fn show(
    State(app): State<App>,
    UntypedBody(body): UntypedBody,
) -> Result<Json<Value>, ApiError> {
    let mut fields = Fields::from_body(&body.0)?;
    ollama::name(&mut fields, app.model())?;
    fields.finish(&["verbose", "system", "template", "options"], &[])?;
    let model = app.model();
    let window = model.window.tokens;
    Ok(Json(json!({
        "details": details(),
        "model_info": {"general.architecture": "purser", "purser.context_length": window},
        "capabilities": capabilities(model),
    })))
}

/// The version of the server; clients compare it with those of Ollama that they need.
pub(in crate::routes) async fn version() -> Json<Value> {
    Json(json!({"version": env!("CARGO_PKG_VERSION")}))
}

fn capabilities(model: &ServedModel) -> Vec<&'static str> {
    let can = [
        ("completion", true),
        ("tools", model.tool_calls.is_some()),
        ("thinking", model.reasoning.is_some()),
    ];
    can.into_iter()
        .filter(|(_, can)| *can)
        .map(|(name, _)| name)
        .collect()
}

/// What a file's header tells in Ollama; here the model may be no file.
fn details() -> Value {
    json!({
        "parent_model": "",
        "format": "",
        "family": "",
        "families": [],
        "parameter_size": "",
        "quantization_level": "",
    })
}
