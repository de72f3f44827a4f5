//! `GET /openapi.json`: what the routes take and answer, for programs.

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::routing::get;

use super::web;
use crate::app::App;
use crate::openapi::document;

/// The route; the document is written once.
pub(super) fn routes(app: &App) -> Router<App> {
    let document = Bytes::from(document(app, &web::asset_names()).to_string());
    let answer = async move || ([(header::CONTENT_TYPE, "application/json")], document);
    Router::new().route("/openapi.json", get(answer))
}
