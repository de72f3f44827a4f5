use serde_json::{Value, json};

use super::send;
use crate::answer::Answer;
use crate::context::CHAT;
use crate::metrics::sample;
use crate::world::{Setup, World, hello};

const FEEDBACK: &str = "/v1/context/feedback";

/// What `key` is answered; a body makes it a POST.
async fn ask(world: &World, key: &str, route: &str, body: Option<Value>) -> Answer {
    let url = format!("{}{route}", world.url);
    let request = match body {
        Some(body) => world.client.post(url).json(&body),
        None => world.client.get(url),
    };
    Answer::read(request.bearer_auth(key).send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_is_kept_for_the_key_that_was_told_of_the_plan() {
    let world = World::start(Setup {
        api_keys: vec!["one", "two"],
        ..Setup::default()
    })
    .await;
    let chat =
        |budget: Value| json!({"messages": hello(), "max_tokens": 1, "context_budget": budget});
    let answer = ask(&world, "one", CHAT, Some(chat(json!({})))).await.ok();
    let id = answer["context_budget"]["plan_id"].as_str().unwrap();
    let route = format!("{FEEDBACK}/{id}");
    let before = ask(&world, "one", &route, None).await.ok();
    assert_eq!(before["feedback"], Value::Null);

    let said = json!({"plan_id": id, "score": 0.3, "success": false, "missing_fact": "the port"});
    let given = ask(&world, "one", FEEDBACK, Some(said.clone())).await.ok();
    let again = json!({"plan_id": id, "score": 0.4, "route_correct": true});
    ask(&world, "one", FEEDBACK, Some(again)).await.ok();
    let read = ask(&world, "one", &route, None).await.ok();
    assert_eq!(given["feedback"]["score"], 0.3);
    let feedback = &read["feedback"];
    assert_eq!(feedback["score"], 0.4);
    assert_eq!(feedback["success"], false);
    assert_eq!(feedback["missing_fact"], "the port");
    assert_eq!(feedback["route_correct"], true);
    assert_eq!(read["plan"]["status"], "fit");
    assert_eq!(read["plan"]["policy"], answer["context_budget"]["policy"]);
    assert_eq!(read["plan"]["used"], answer["usage"]["prompt_tokens"]);

    for answer in [
        ask(&world, "two", &route, None).await,
        ask(&world, "two", FEEDBACK, Some(said)).await,
        ask(&world, "one", &format!("{FEEDBACK}/pl_0"), None).await,
    ] {
        let error = answer.error(404);
        assert_eq!(error["code"], "plan_not_found");
        assert_eq!(error["param"], "plan_id");
    }
    ask(&world, "none", &route, None).await.error(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_are_counted_beside_the_figures_of_their_plans() {
    let world = World::start(Setup::default()).await;
    let body = |text: &str| {
        json!({"messages": [{"role": "user", "content": text}], "max_tokens": 1,
            "context_budget": {"max_context_tokens": 256}})
    };
    let mut plans = Vec::new();
    for text in [
        "Hello",
        "Hello again, and tell me more of it than before",
        "Bye",
    ] {
        let report = world.ask(CHAT, body(text)).await.ok()["context_budget"].clone();
        let number = |name: &str| report["budget"][name].as_f64().unwrap();
        plans.push((
            report["plan_id"].clone(),
            number("used"),
            number("utilization"),
        ));
    }
    let say = async |plan: usize, mut said: Value| {
        said["plan_id"] = plans[plan].0.clone();
        world.ask(FEEDBACK, said).await.ok();
    };
    say(0, json!({"success": true, "score": 0.75})).await;
    // Sent again it says nothing new; a score alone is no outcome.
    say(0, json!({"success": true, "score": 0.75})).await;
    say(1, json!({"success": false, "route_correct": false})).await;
    say(2, json!({"score": 0.25})).await;

    let text = world.get("/metrics").await.text;
    let value =
        |name: &str, labels: &[&str]| sample(&text, &format!("purser_context_{name}"), labels);
    for (success, plan) in [("success=\"true\"", 0), ("success=\"false\"", 1)] {
        let (_, used, utilization) = plans[plan];
        let labels = [success, "status=\"fit\"", "profile=\"default\""];
        assert_eq!(value("outcomes_total", &labels), 1.0);
        assert_eq!(value("outcome_used_tokens_count", &[success]), 1.0);
        assert_eq!(value("outcome_used_tokens_sum", &[success]), used);
        assert_eq!(
            value("outcome_utilization_ratio_sum", &[success]),
            utilization
        );
    }
    assert_eq!(value("outcome_score_count", &["status=\"fit\""]), 2.0);
    assert_eq!(value("outcome_score_sum", &["status=\"fit\""]), 1.0);
    assert_eq!(value("outcome_routes_total", &["correct=\"false\""]), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_feedback_is_named() {
    let world = World::start(Setup::default()).await;
    let long = "x".repeat(5_000);
    for (body, param) in [
        (json!({}), json!("plan_id")),
        (json!({"plan_id": 3, "score": 1}), json!("plan_id")),
        (json!({"plan_id": "a"}), json!("score")),
        (json!({"plan_id": "a", "score": 1.1}), json!("score")),
        (json!({"plan_id": "a", "success": "yes"}), json!("success")),
        (
            json!({"plan_id": "a", "missing_fact": long}),
            json!("missing_fact"),
        ),
        (
            json!({"plan_id": "a", "score": 1, "scores": 1}),
            json!("scores"),
        ),
        (json!([]), Value::Null),
    ] {
        let answer = world.ask(FEEDBACK, body.clone()).await;
        assert_eq!(answer.error(400)["param"], param, "{body}");
    }
    send(&world, FEEDBACK, "").await.error(400);
}
