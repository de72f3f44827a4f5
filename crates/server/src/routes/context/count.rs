//! `POST /v1/context/count`: whose the tokens of a prompt are.

use axum::extract::State;
use axum::{Extension, Json};

use crate::app::App;
use crate::auth::Caller;
use crate::budget::count;
use crate::budget::pipeline::Circumstances;
use crate::budget::progress::Progress;
use crate::routes::body::Body;
use crate::validate::chat;
use crate::wire::context_count::ContextCount;
use crate::wire::error::ApiError;

/// Counts the prompt of a chat completion with the same body and no budget.
///
/// # Errors
/// Whatever a completion would say of the body, but for its length.
pub(in crate::routes) async fn count(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<ContextCount>, ApiError> {
    let request = body
        .read(&app, |bytes, app| {
            chat::request(bytes, app.model(), app.limits())
        })
        .await?;
    let circumstances = Circumstances {
        caller: &caller,
        cache_salt: &request.generation.cache_salt,
        adapter: request.generation.adapter.as_deref(),
        priority: request.generation.priority,
        // How long the answer may be is nothing to the prompt.
        output_asked: None,
        progress: Progress::default(),
    };
    let counted = count::count(&app, request.conversation, &request.wish, &circumstances).await?;
    Ok(Json(counted))
}
