//! `POST /v1/context/probe`: what the model still knows after the edits.

use axum::extract::State;
use axum::{Extension, Json};

use crate::app::App;
use crate::auth::Caller;
use crate::budget::pipeline::{self, Circumstances};
use crate::budget::progress::Progress;
use crate::budget::questions::{self, Examination};
use crate::routes::body::Body;
use crate::validate::probe as validate;
use crate::wire::context_probe::ContextProbe;
use crate::wire::error::ApiError;

/// Edits a conversation as a completion would, and asks the model each question with the
/// conversation as it was sent and after the edits. A client that goes away cancels it.
///
/// # Errors
/// What the completion would be told, and whatever the engine refuses.
pub(in crate::routes) async fn probe(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<ContextProbe>, ApiError> {
    let request = body
        .read(&app, |bytes, app| {
            validate::probe(bytes, app.model(), app.limits())
        })
        .await?;
    let circumstances = Circumstances {
        caller: &caller,
        cache_salt: &request.cache_salt,
        adapter: request.adapter.as_deref(),
        priority: request.priority,
        output_asked: Some(request.max_tokens),
        progress: Progress::default(),
    };
    let raw = request.conversation.clone();
    let compacted =
        pipeline::compact(&app, request.conversation, &request.wish, &circumstances).await?;
    let compacted = compacted.map_err(|declined| declined.error)?;
    let report = compacted.report();
    app.budgeter().told_plans().tell(caller.tenant(), &report);
    let examination = Examination {
        raw,
        edited: compacted.conversation(),
        questions: request.questions,
        max_tokens: request.max_tokens,
        priority: request.priority,
        cache_salt: request.cache_salt,
        adapter: request.adapter,
        caller,
    };
    let answered = questions::ask(&app, examination).await?;
    Ok(Json(ContextProbe {
        object: "context.probe",
        model: app.model().name().to_owned(),
        probes: answered.probes,
        raw: answered.raw,
        edited: answered.edited,
        usage: answered.usage,
        context_budget: report.to_json(true),
    }))
}
