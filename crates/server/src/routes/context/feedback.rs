//! `/v1/context/feedback`: what clients say of plans.

use axum::extract::State;
use axum::{Extension, Json};
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Caller;
use crate::budget::told_plans::ToldPlan;
use crate::clock;
use crate::routes::body::Body;
use crate::routes::place::Place;
use crate::validate::feedback;
use crate::wire::error::ApiError;

/// Keeps what a client says of a plan that it was told of.
///
/// # Errors
/// 404 when this caller was told of no such plan, or too long ago.
pub(in crate::routes) async fn give(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let (id, feedback) = feedback::feedback(&body, clock::unix_seconds())?;
    let given = {
        let mut plans = app.budgeter().told_plans();
        plans.give(caller.tenant(), &id, feedback)
    };
    let (plan, news) = given.ok_or_else(unknown)?;
    app.metrics().context().judged(&plan, &news);
    Ok(told(&id, &plan))
}

/// A plan and what was said of it.
///
/// # Errors
/// 404 when this caller was told of no such plan, or too long ago.
pub(in crate::routes) async fn read(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
) -> Result<Json<Value>, ApiError> {
    let plans = app.budgeter().told_plans();
    let plan = plans.get(caller.tenant(), &id);
    plan.map(|plan| told(&id, plan)).ok_or_else(unknown)
}

fn told(id: &str, plan: &ToldPlan) -> Json<Value> {
    let said = plan.feedback.as_ref().map(|feedback| {
        json!({
            "score": feedback.score,
            "success": feedback.success,
            "missing_fact": feedback.missing_fact,
            "route_correct": feedback.route_correct,
            "given_at": feedback.given_at,
        })
    });
    Json(json!({
        "object": "context.feedback",
        "plan_id": id,
        "plan": {
            "status": plan.status,
            "policy": plan.policy,
            "used": plan.used,
            "utilization": plan.utilization,
            "edits": plan.edits,
        },
        "feedback": said,
    }))
}

fn unknown() -> ApiError {
    let message = "There is no such plan: its id is wrong, or too many newer plans were made.";
    ApiError::not_found("plan_id", "plan_not_found", message)
}
