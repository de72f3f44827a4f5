//! Answers as a client reads them.

use reqwest::{Response, StatusCode};
use serde_json::Value;

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn read(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self {
            status,
            headers,
            text: response.text().await.expect("the body is complete"),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("headers are ASCII"))
    }

    /// The body, which must be JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error} in {} {}", self.status, self.text))
    }

    /// The body of a successful answer.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }

    /// Checks that this is an error in OpenAI's shape and returns its `error`.
    pub(crate) fn error(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        let body = self.json();
        let keys: Vec<&str> = body["error"]
            .as_object()
            .unwrap_or_else(|| panic!("no error in {}", self.text))
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(keys, ["message", "type", "param", "code"], "{}", self.text);
        assert!(
            !self.header("x-request-id").is_empty(),
            "{:?}",
            self.headers
        );
        assert_eq!(self.header("content-type"), "application/json");
        body["error"].clone()
    }

    /// The data of an event stream's events.
    pub(crate) fn events(&self) -> Vec<&str> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        assert_eq!(self.header("content-type"), "text/event-stream");
        self.text
            .split("\n\n")
            .filter_map(|event| event.strip_prefix("data: "))
            .collect()
    }

    /// The chunks of a stream that ends with `[DONE]`.
    pub(crate) fn chunks(&self) -> Vec<Value> {
        let mut events = self.events();
        assert_eq!(events.pop(), Some("[DONE]"), "{}", self.text);
        events
            .iter()
            .map(|event| serde_json::from_str(event).expect("chunks are JSON"))
            .collect()
    }
}

/// Replaces what differs between any two answers, after a look at its form.
pub(crate) fn without_identity(mut answer: Value, prefix: &str) -> Value {
    let id = answer["id"].as_str().expect("an answer has an id");
    assert!(
        id.starts_with(prefix) && id.len() > prefix.len() + 8,
        "{id}"
    );
    assert!(
        answer["created"].as_u64().expect("a time") > 1_700_000_000,
        "{answer}"
    );
    answer["id"] = "ID".into();
    answer["created"] = 0.into();
    answer
}

/// The text of a streamed chat's choice.
pub(crate) fn chat_text(chunks: &[Value], index: u64) -> String {
    let choices = chunks.iter().filter_map(|chunk| chunk["choices"].get(0));
    choices
        .filter(|choice| choice["index"] == index)
        .filter_map(|choice| choice["delta"]["content"].as_str())
        .collect()
}

/// The reasons for which a stream's choices ended, in order.
pub(crate) fn finish_reasons(chunks: &[Value]) -> Vec<&str> {
    let choices = chunks.iter().filter_map(|chunk| chunk["choices"].get(0));
    choices
        .filter_map(|choice| choice["finish_reason"].as_str())
        .collect()
}
