//! Requests as a trace that `purser bench replay` sends.

use serde_json::json;

use super::requests::Request;

/// A line of JSON for each request, all due at once: greedy, and nothing ends an answer early.
pub fn trace(requests: &[Request]) -> Vec<String> {
    let line = |request: &Request| {
        let body = json!({
            "prompt": request.prompt,
            "max_tokens": request.max_tokens,
            "temperature": 0,
            "ignore_eos": true,
        });
        json!({"at_ms": 0, "body": body}).to_string()
    };
    requests.iter().map(line).collect()
}
