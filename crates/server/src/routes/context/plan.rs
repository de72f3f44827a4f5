//! `POST /v1/context/plan`: what a completion would do and cost.

use axum::extract::State;
use axum::{Extension, Json};
use context::Mode;
use serde_json::Value;

use crate::app::App;
use crate::auth::Caller;
use crate::budget::pipeline::{self, Circumstances};
use crate::budget::progress::Progress;
use crate::routes::body::Body;
use crate::validate::context as validate;
use crate::wire::context_plan;
use crate::wire::error::ApiError;

/// Plans a completion: nothing is computed, remembered or held. Where the budgeter is off, the plan
/// is the one that `observe` would report.
///
/// # Errors
/// What the completion would be told.
pub(in crate::routes) async fn plan(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let request = body
        .read(&app, |bytes, app| {
            validate::plan(bytes, app.model(), app.limits())
        })
        .await?;
    let chat = request.chat;
    let mut wish = chat.wish;
    if wish.mode(&app)? == Mode::Off {
        let settings = &mut wish.budget.get_or_insert_default().settings;
        settings.mode = Some(Mode::Observe);
    }
    let circumstances = Circumstances {
        caller: &caller,
        cache_salt: &chat.generation.cache_salt,
        adapter: chat.generation.adapter.as_deref(),
        priority: chat.generation.priority,
        output_asked: chat.generation.max_tokens,
        progress: Progress::default(),
    };
    let decision = pipeline::plan(&app, chat.conversation, &wish, &circumstances).await?;
    let is_exact = decision.as_ref().map_or(true, |planned| planned.is_exact());
    let (report, queue, frontier, segments) = match decision {
        Ok(planned) => (
            planned.report(),
            planned.queue(),
            planned.frontier(),
            planned.segments(),
        ),
        Err(declined) => (declined.report, declined.queue, Vec::new(), Vec::new()),
    };
    app.budgeter().told_plans().tell(caller.tenant(), &report);
    let frontier = request.frontier.then_some(frontier);
    let segments = request.segments.then_some(segments);
    let told = context_plan::plan(
        app.model().name(),
        &report,
        queue,
        is_exact,
        frontier,
        segments,
    );
    Ok(Json(told))
}
