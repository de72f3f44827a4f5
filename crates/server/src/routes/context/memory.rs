//! `/v1/context/restore` and `/v1/context/memory/{namespace}/..`: text that has left a prompt, and
//! files that outlive a conversation.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use memory::{CommandError, FileError, StorageError};
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Caller;
use crate::budget::restored;
use crate::routes::body::Body;
use crate::routes::place::Place;
use crate::validate::memory as validate;
use crate::wire::error::ApiError;

/// The text behind a handle, byte for byte.
///
/// # Errors
/// 404 when this caller has no such text, whether or not another has.
pub(in crate::routes) async fn restore(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let handle = validate::handle(&body)?;
    let (shared, tenant) = (app.clone(), caller.tenant());
    let work = move || restored::text(&shared, &tenant, &handle);
    match app.text_pool().run(work).await? {
        Some(text) => {
            let text: &str = &text;
            app.budgeter().uses().count_need(tenant, handle);
            Ok(Json(json!({"handle": handle.to_string(), "text": text})))
        }
        None => {
            let message = format!("There is no text behind {handle}.");
            Err(ApiError::not_found("handle", "bad_restore_handle", message))
        }
    }
}

/// A call of Anthropic's memory tool. What the model could mend is an answer, not an error.
///
/// # Errors
/// When the body is no call, or the store fails.
pub(in crate::routes) async fn run(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Place(namespace): Place<String>,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let namespace = validate::namespace(&namespace)?;
    let command = validate::command(&body)?;
    let (store, tenant) = (app.memory().clone(), caller.tenant());
    app.text_pool()
        .run(move || match store.run(&tenant, &namespace, &command) {
            Ok(content) => Ok(Json(json!({"content": content, "is_error": false}))),
            Err(CommandError::Path { parameter, source }) => {
                let message = format!("`{parameter}`: {source}.");
                Err(ApiError::field(parameter, message))
            }
            Err(CommandError::File(FileError::Storage(error))) => Err(error.into()),
            Err(error) => Ok(Json(
                json!({"content": error.to_string(), "is_error": true}),
            )),
        })
        .await
}

/// A file's text.
///
/// # Errors
/// 404 when there is none.
pub(in crate::routes) async fn read(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Place((namespace, path)): Place<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let (namespace, path) = (validate::namespace(&namespace)?, validate::path(&path)?);
    let (store, tenant) = (app.memory().clone(), caller.tenant());
    app.text_pool()
        .run(move || {
            let text = store.read_file(&tenant, &namespace, &path)?;
            Ok(Json(json!({"path": path.to_string(), "text": text})))
        })
        .await
}

/// Creates or replaces a file: 201 or 200.
///
/// # Errors
/// When it does not fit, or a folder is in the way.
pub(in crate::routes) async fn write(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Place((namespace, path)): Place<(String, String)>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let (namespace, path) = (validate::namespace(&namespace)?, validate::path(&path)?);
    let text = validate::text(&body)?;
    let (store, tenant) = (app.memory().clone(), caller.tenant());
    app.text_pool()
        .run(move || {
            let is_new = store.write_file(&tenant, &namespace, &path, &text)?;
            let status = if is_new {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            };
            let answer = json!({"path": path.to_string(), "bytes": text.len()});
            Ok((status, Json(answer)).into_response())
        })
        .await
}

/// Deletes a file, or a folder with all that is in it.
///
/// # Errors
/// 404 when there is neither.
pub(in crate::routes) async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Place((namespace, path)): Place<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let (namespace, path) = (validate::namespace(&namespace)?, validate::path(&path)?);
    let (store, tenant) = (app.memory().clone(), caller.tenant());
    app.text_pool()
        .run(move || {
            let deleted = store.remove_files(&tenant, &namespace, &path)?;
            Ok(Json(json!({"path": path.to_string(), "deleted": deleted})))
        })
        .await
}

/// The files that have the words of a query, best first.
///
/// # Errors
/// When the body is wrong, or the store fails.
pub(in crate::routes) async fn search(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Place(namespace): Place<String>,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let namespace = validate::namespace(&namespace)?;
    let (query, limit) = validate::search(&body)?;
    let (store, tenant) = (app.memory().clone(), caller.tenant());
    app.text_pool()
        .run(move || {
            let found = store.search(&tenant, &namespace, &query, limit)?;
            let found = found.into_iter().map(|found| {
                json!({
                    "path": found.path.to_string(),
                    "score": found.score,
                    "line": found.line,
                    "text": found.text,
                })
            });
            Ok(Json(json!({"results": found.collect::<Vec<_>>()})))
        })
        .await
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        tracing::error!(%error, "the memory store failed");
        Self::internal("The memory store failed.")
    }
}

impl From<FileError> for ApiError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Storage(error) => error.into(),
            FileError::NotFound(_) => {
                Self::not_found("path", "memory_not_found", error.to_string())
            }
            error => Self::field("path", error.to_string()),
        }
    }
}
