//! From conversations and texts to token ids.

use serde_json::json;
use text::{ChatInput, Encoding, TemplateError};

use crate::app::App;
use crate::clock;
use crate::model::ServedModel;
use crate::validate::chat::Conversation;
use crate::validate::messages::Tools;
use crate::validate::notes::Notes;
use crate::wire::error::ApiError;

/// The tokens of a conversation, rendered by the model's chat template.
///
/// # Errors
/// When the model has no template, or the template refuses the conversation.
pub async fn of_chat(app: &App, conversation: Conversation) -> Result<Vec<u32>, ApiError> {
    let model = app.model().clone();
    let now = clock::local();
    app.text_pool()
        .run(move || {
            let text = render(&model, &conversation, now)?;
            encode(&model, "messages", &text, conversation.add_special_tokens)
        })
        .await
}

/// The tokens of a text.
///
/// # Errors
/// When the text cannot be tokenised.
pub async fn of_text(app: &App, text: String, add_special: bool) -> Result<Vec<u32>, ApiError> {
    let model = app.model().clone();
    app.text_pool()
        .run(move || encode(&model, "prompt", &text, add_special))
        .await
}

/// Tokens that the model's chat template writes behind a conversation to begin the answer; 0 where
/// that is not known.
pub fn generation_prompt_tokens(model: &ServedModel) -> usize {
    let mut conversation = Conversation {
        messages: vec![json!({"role": "user", "content": "Hello"})],
        notes: Notes::default(),
        tools: Tools::new(Vec::new(), true),
        documents: None,
        add_generation_prompt: true,
        continue_final_message: false,
        add_special_tokens: false,
        template_kwargs: None,
    };
    let mut tokens = |add| {
        conversation.add_generation_prompt = add;
        let text = render(model, &conversation, clock::local()).ok()?;
        Some(encode(model, "messages", &text, false).ok()?.len())
    };
    let (with, without) = (tokens(true), tokens(false));
    with.zip(without)
        .map_or(0, |(with, without)| with.saturating_sub(without))
}

/// The conversation as the model's chat template writes it.
///
/// # Errors
/// When the model has no template, or the template refuses the conversation.
pub(crate) fn render(
    model: &ServedModel,
    conversation: &Conversation,
    now: chrono::NaiveDateTime,
) -> Result<String, ApiError> {
    let no_template = || {
        let message = "This model has no chat template; use /v1/completions.";
        ApiError::unsupported("messages", message)
    };
    let templates = model.templates.as_ref().ok_or_else(no_template)?;
    let tools = &conversation.tools.definitions;
    let template = templates
        .select(!tools.is_empty())
        .map_err(|error| refused(&error))?;
    let messages = template.prepare_messages(&conversation.messages);
    let input = ChatInput {
        tools: (!tools.is_empty()).then_some(tools.as_slice()),
        documents: conversation.documents.as_deref(),
        add_generation_prompt: conversation.add_generation_prompt,
        continue_final_message: conversation.continue_final_message,
        kwargs: conversation.template_kwargs.as_ref(),
        ..ChatInput::new(&messages, now)
    };
    template.render(&input).map_err(|error| refused(&error))
}

fn refused(error: &TemplateError) -> ApiError {
    ApiError::field("messages", format!("The model's chat template: {error}"))
}

/// The tokens of a rendered text.
///
/// # Errors
/// When it cannot fit or cannot be tokenised.
pub(crate) fn encode(
    model: &ServedModel,
    param: &str,
    text: &str,
    add_special: bool,
) -> Result<Vec<u32>, ApiError> {
    if text.len() > model.max_text_bytes {
        return Err(ApiError::text_too_long(param, text.len(), model.window));
    }
    model
        .tokenizer
        .encode(text, add_special)
        .map_err(|error| ApiError::field(param, format!("`{param}` cannot be tokenised: {error}")))
}

/// The same, with the bytes that each token stands for.
///
/// # Errors
/// As [`encode`].
pub(crate) fn encode_with_offsets(
    model: &ServedModel,
    param: &str,
    text: &str,
    add_special: bool,
) -> Result<Encoding, ApiError> {
    if text.len() > model.max_text_bytes {
        return Err(ApiError::text_too_long(param, text.len(), model.window));
    }
    model
        .tokenizer
        .encode_with_offsets(text, add_special)
        .map_err(|error| ApiError::field(param, format!("`{param}` cannot be tokenised: {error}")))
}
