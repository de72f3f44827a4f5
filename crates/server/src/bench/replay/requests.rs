//! Traces of whole requests, one a line:
//! `{"at_ms": 120, "body": {"messages": [..], "max_tokens": 64}, "id": "b", "follows": "a"}`.
//!
//! `body` is a request of `/v1/chat/completions` (with `messages`) or of `/v1/completions` (with
//! `prompt`), sent as it is but for `model` and the fields of streaming. `id` names the line;
//! `follows` is the id of an earlier line whose answer must have ended before. Both may be absent.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::format::Format;
use super::record_line::{RecordLine, lines};
use super::trace::{Prompt, Recorded, Trace};
use crate::bench::endpoint::Endpoint;

/// # Errors
/// The first line that is wrong.
pub(super) fn read(text: &str) -> anyhow::Result<Trace> {
    let mut ids: HashMap<String, usize> = HashMap::new();
    let mut requests = Vec::new();
    for line in lines(text) {
        let mut line = line?;
        requests.push(request(&mut line, &ids)?);
        if let Some(id) = line.optional("id") {
            let Value::String(id) = id else {
                return Err(line.wrong("id", "it is no text"));
            };
            if ids.contains_key(&id) {
                return Err(line.wrong("id", &format!("{id:?} is there twice")));
            }
            ids.insert(id, requests.len() - 1);
        }
        if let Some(field) = line.rest().next() {
            return Err(line.wrong(field, "it is none of at_ms, body, id and follows"));
        }
    }
    Ok(Trace {
        format: Format::Purser,
        requests,
        notes: Vec::new(),
    })
}

/// `ids` are those of earlier lines.
fn request(line: &mut RecordLine, ids: &HashMap<String, usize>) -> anyhow::Result<Recorded> {
    let at_ms = line.milliseconds("at_ms")?;
    let body = line.required("body")?;
    let endpoint = match (body.get("messages"), body.get("prompt")) {
        (Some(_), None) => Endpoint::Chat,
        (None, Some(_)) => Endpoint::Completions,
        _ => return Err(line.wrong("body", "it has either `messages` or `prompt`")),
    };
    if !matches!(
        body.get("stream_options"),
        None | Some(Value::Null | Value::Object(_))
    ) {
        return Err(line.wrong("body", "`stream_options` is no object"));
    }
    let follows = match line.optional("follows") {
        None => None,
        Some(Value::String(id)) => match ids.get(&id) {
            Some(index) => Some(*index),
            None => {
                return Err(line.wrong("follows", &format!("no earlier line has the id {id:?}")));
            }
        },
        Some(_) => return Err(line.wrong("follows", "it is no text")),
    };
    Ok(Recorded {
        place: line.place().to_owned(),
        at: Duration::from_secs_f64(at_ms / 1e3),
        follows,
        prompt: Prompt::Body { endpoint, body },
        output_len: None,
    })
}

#[cfg(test)]
mod tests;
