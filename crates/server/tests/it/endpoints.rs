//! `/v1/context/..`: counting, planning and editing contexts without a completion.

mod compact;
mod count;
mod feedback;
mod infeasible;
mod plan;
mod policy;
mod probe;

use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use crate::answer::Answer;
use crate::world::World;

/// The field that a refusal with a table of the context budgeter names.
fn refused(answer: &Answer) -> Value {
    assert_eq!(answer.status, 400, "{}", answer.text);
    answer.json()["error"]["param"].clone()
}

/// Sends bytes as JSON.
async fn send(world: &World, route: &str, body: &str) -> Answer {
    let request = world.client.post(format!("{}{route}", world.url));
    let request = request.header(CONTENT_TYPE, "application/json");
    Answer::read(request.body(body.to_owned()).send().await.unwrap()).await
}
