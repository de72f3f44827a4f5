//! `GET /v1/context/policy` and `GET /v1/context/policy/{name}`: what profiles come to here.

use axum::Json;
use axum::extract::State;
use context::resolve_profile;
use serde_json::{Value, json};

use crate::app::App;
use crate::routes::place::Place;
use crate::wire::context_policy::{budget_fields, thinking_turns};
use crate::wire::error::ApiError;

/// All profiles, and what holds for a request that names none.
///
/// # Errors
/// Never: a profile that this server's window cannot hold is listed as unusable.
pub(in crate::routes) async fn list(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    let budgeter = app.budgeter();
    let window = app.model().window.tokens;
    let profiles = budgeter.profile_names().into_iter().map(|name| {
        let settings = budgeter.profile(Some(&name)).map(|(_, settings)| settings);
        let is_usable = settings.is_ok_and(|settings| resolve_profile(&settings, window).is_ok());
        json!({
            "name": name,
            "source": source(&app, &name),
            "usable": is_usable,
        })
    });
    Ok(Json(json!({
        "object": "list",
        "mode": budgeter.mode().name(),
        "default_profile": budgeter.default_profile(),
        "data": profiles.collect::<Vec<_>>(),
    })))
}

/// One profile, resolved for this server's window.
///
/// # Errors
/// 404 when there is no such profile; 400 when the window cannot hold it, as a request that names
/// it would be told.
pub(in crate::routes) async fn one(
    State(app): State<App>,
    Place(name): Place<String>,
) -> Result<Json<Value>, ApiError> {
    let budgeter = app.budgeter();
    let Ok((name, settings)) = budgeter.profile(Some(&name)) else {
        let names = budgeter.profile_names().join(", ");
        let message = format!("There is no profile of that name; there are {names}.");
        return Err(ApiError::not_found("name", "profile_not_found", message));
    };
    let window = app.model().window.tokens;
    let resolved = resolve_profile(&settings, window).map_err(|error| ApiError::from(&error))?;
    Ok(Json(json!({
        "object": "context.policy",
        "name": name,
        "source": source(&app, &name),
        "window": window,
        "context_budget": budget_fields(&settings, &resolved),
        "thinking_turns": thinking_turns(resolved.policy.thinking),
    })))
}

/// Where a profile is from.
fn source(app: &App, name: &str) -> &'static str {
    if app.budgeter().is_configured(name) {
        "config"
    } else {
        "preset"
    }
}
