//! `POST /v1/load_lora_adapter` and `POST /v1/unload_lora_adapter`, in vLLM's shapes.

use axum::extract::State;
use axum::http::StatusCode;
use engine::LoadAdapterError;

use super::body::Body;
use crate::adapters::LoadError;
use crate::app::App;
use crate::validate::adapter;
use crate::wire::error::ApiError;

/// Loads an adapter from a folder of this machine.
///
/// # Errors
/// 403 unless it is allowed; whatever is wrong with the request or the adapter; 409 when all slots
/// are taken.
pub(super) async fn load(State(app): State<App>, body: Body) -> Result<String, ApiError> {
    check_open(&app)?;
    let asked = adapter::load(&body.0)?;
    let name = asked.name.clone();
    let loading = move || {
        let adapters = &app.model().adapters;
        adapters.load(app.engine(), &asked.name, &asked.path)
    };
    let loaded = tokio::task::spawn_blocking(loading).await;
    let panicked = |_| ApiError::internal("Loading the adapter has failed.");
    match loaded.map_err(panicked)? {
        Ok(()) => {
            tracing::info!(adapter = name, "adapter loaded");
            Ok(format!(
                "Success: LoRA adapter '{name}' added successfully."
            ))
        }
        Err(LoadError::NameTaken(name)) => {
            let message = format!("`lora_name`: the name `{name}` is taken.");
            Err(ApiError::field("lora_name", message))
        }
        Err(LoadError::Adapter(error)) => {
            let message = format!("`lora_path`: {error}.");
            Err(ApiError::field("lora_path", message))
        }
        Err(LoadError::Slot(error @ LoadAdapterError::NoSlot { .. })) => {
            Err(ApiError::http(StatusCode::CONFLICT, format!("{error}.")))
        }
        Err(LoadError::Engine(error)) => Err(error.into()),
        Err(error @ (LoadError::Off | LoadError::Slot(_))) => {
            Err(ApiError::internal(format!("{error}.")))
        }
    }
}

/// Takes no new requests for an adapter; those that there are finish.
///
/// # Errors
/// 403 unless it is allowed; 404 if there is none of this name.
pub(super) async fn unload(State(app): State<App>, body: Body) -> Result<String, ApiError> {
    check_open(&app)?;
    let name = adapter::unload(&body.0)?;
    match app.model().adapters.unload(&name) {
        true => {
            tracing::info!(adapter = name, "adapter unloaded");
            Ok(format!(
                "Success: LoRA adapter '{name}' removed successfully."
            ))
        }
        false => {
            let message = format!("The lora adapter '{name}' cannot be found.");
            Err(ApiError::http(StatusCode::NOT_FOUND, message))
        }
    }
}

fn check_open(app: &App) -> Result<(), ApiError> {
    match app.model().adapters.are_open() {
        true => Ok(()),
        false => {
            let message = "This server was started without --allow-runtime-lora-updating.";
            Err(ApiError::http(StatusCode::FORBIDDEN, message))
        }
    }
}
