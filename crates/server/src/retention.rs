//! Which prefixes of a prompt a request asks to keep: those before its `cache_control` marks, and
//! all of it.

use engine::{RetainedPrefix, RetentionRequest};
use serde_json::Value;

use crate::app::App;
use crate::auth::Caller;
use crate::budget::place::Place;
use crate::model::ServedModel;
use crate::validate::chat::Conversation;
use crate::validate::notes::{Mark, MarkPlace};
use crate::validate::retention::CacheWish;
use crate::{clock, prompt};

/// A conversation as the client sent it, where it has marks.
pub(crate) struct Marked {
    conversation: Conversation,
}

impl Marked {
    /// The conversation, if anything in it is marked.
    pub(crate) fn of(conversation: &Conversation) -> Option<Self> {
        (!conversation.notes.marks.is_empty()).then(|| Self {
            conversation: conversation.clone(),
        })
    }
}

/// What of the prompt `tokens` is to be kept; `None` if nothing is asked for.
///
/// A mark stands behind the tokens that the prompt shares with the conversation cut off at the mark.
/// A mark on a tool keeps the system prompt, too: templates write both into one place. Where the
/// template does not take the shorter conversation, the mark keeps nothing, which the request's
/// record tells.
pub(crate) async fn request(
    app: &App,
    caller: &Caller,
    wish: &CacheWish,
    marked: Option<Marked>,
    tokens: &[u32],
) -> Option<RetentionRequest> {
    let mut prefixes = Vec::new();
    if let Some(ttl) = wish.ttl {
        // Of each prompt as much as it has.
        let num_tokens = usize::MAX;
        prefixes.push(RetainedPrefix { num_tokens, ttl });
    }
    if let Some(marked) = marked {
        let (model, tokens) = (app.model().clone(), tokens.to_vec());
        let find = move || Ok(marked_prefixes(&model, &marked.conversation, &tokens));
        match app.text_pool().run(find).await {
            Ok(found) => prefixes.extend(found),
            Err(error) => tracing::warn!(
                error = error.message(),
                "the marks of a request are not looked for"
            ),
        }
    }
    let key = caller.retention_key(&wish.key);
    (!prefixes.is_empty()).then_some(RetentionRequest { key, prefixes })
}

fn marked_prefixes(
    model: &ServedModel,
    conversation: &Conversation,
    tokens: &[u32],
) -> Vec<RetainedPrefix> {
    let mut prefixes = Vec::new();
    for mark in deepest(&conversation.notes.marks) {
        let mut cut = cut_off(conversation, mark.place);
        cut.add_generation_prompt = false;
        cut.continue_final_message = false;
        let rendered = prompt::render(model, &cut, clock::local());
        let encoded = rendered
            .and_then(|text| prompt::encode(model, "messages", &text, cut.add_special_tokens));
        let shared = |cut: Vec<u32>| cut.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        prefixes.push(RetainedPrefix {
            num_tokens: encoded.map_or(0, shared),
            ttl: mark.ttl.duration(),
        });
    }
    prefixes
}

/// For each time the last mark, which keeps all that those before it keep.
fn deepest(marks: &[Mark]) -> Vec<Mark> {
    let mut last: Vec<Mark> = Vec::new();
    for mark in marks {
        match last.iter_mut().find(|other| other.ttl == mark.ttl) {
            Some(other) if rank(mark.place) >= rank(other.place) => *other = *mark,
            Some(_) => {}
            None => last.push(*mark),
        }
    }
    last
}

/// Where a mark stands, to be compared.
fn rank(place: MarkPlace) -> (usize, usize, usize) {
    match place {
        MarkPlace::Message(message) => (1 + message, usize::MAX, 0),
        MarkPlace::Place(place) => place.rank(),
    }
}

/// The conversation as far as a mark.
fn cut_off(conversation: &Conversation, mark: MarkPlace) -> Conversation {
    let mut cut = conversation.clone();
    let place = match mark {
        MarkPlace::Message(message) => {
            cut.messages.truncate(message + 1);
            return cut;
        }
        MarkPlace::Place(place) => place,
    };
    let Some(message) = place.message() else {
        let is_system =
            |message: &Value| matches!(message["role"].as_str(), Some("system" | "developer"));
        let leading = cut.messages.iter().take_while(|message| is_system(message));
        let kept = leading.count().max(1);
        cut.messages.truncate(kept);
        return cut;
    };
    cut.messages.truncate(message + 1);
    let Some(last) = cut.messages.last_mut() else {
        return cut;
    };
    let cut_list = |list: &mut Value, len: usize| {
        if let Some(list) = list.as_array_mut() {
            list.truncate(len);
        }
    };
    match place {
        Place::Part(_, part) => {
            cut_list(&mut last["content"], part + 1);
            if let Some(fields) = last.as_object_mut() {
                fields.shift_remove("tool_calls");
            }
        }
        Place::Call(_, call) => cut_list(&mut last["tool_calls"], call + 1),
        Place::Message(_) | Place::Reasoning(_) | Place::Tool(_) | Place::Document(_) => {}
    }
    cut
}
