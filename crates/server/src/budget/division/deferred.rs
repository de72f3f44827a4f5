//! What tools would cost that the model is not told of (`defer_loading`).

use chrono::NaiveDateTime;
use context::canonical_tools;
use serde_json::{Value, json};

use crate::model::ServedModel;
use crate::prompt;
use crate::validate::chat::Conversation;
use crate::validate::messages::Tools;
use crate::validate::notes::Notes;
use crate::wire::context_report::DeferredTool;

/// The deferred tools of a conversation, in their order, with the tokens that each would add to a
/// prompt that has tools already.
pub(super) fn count(
    model: &ServedModel,
    conversation: &Conversation,
    now: NaiveDateTime,
) -> Vec<DeferredTool> {
    let Tools {
        definitions,
        deferred,
        ..
    } = &conversation.tools;
    if deferred.is_empty() {
        return Vec::new();
    }
    let tokens = |tools: Vec<Value>| {
        let text = prompt::render(model, &smallest(tools), now).ok()?;
        let tokens = model.tokenizer.encode(&text, false).ok()?;
        Some(tokens.len())
    };
    let told: Vec<Value> = definitions.iter().take(1).cloned().collect();
    let before = tokens(told.clone());
    let counted = deferred.iter().map(|(_, tool)| {
        let tool = canonical_tools(std::slice::from_ref(tool)).remove(0);
        let alone = || {
            let text = tool.to_string();
            let tokens = model.tokenizer.encode(&text, false);
            tokens.map_or(text.len(), |tokens| tokens.len())
        };
        let with_it = tokens([told.clone(), vec![tool.clone()]].concat());
        let added = with_it
            .zip(before)
            .map(|(after, before)| after - before.min(after));
        DeferredTool {
            tool: tool["function"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            tokens: added.unwrap_or_else(alone),
        }
    });
    counted.collect()
}

/// A conversation that is all but nothing beside its tools.
fn smallest(tools: Vec<Value>) -> Conversation {
    Conversation {
        messages: vec![json!({"role": "user", "content": "."})],
        notes: Notes::default(),
        tools: Tools::new(tools, true),
        documents: None,
        add_generation_prompt: true,
        continue_final_message: false,
        add_special_tokens: false,
        template_kwargs: None,
    }
}
