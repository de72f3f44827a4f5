//! `purser why`: where two request bodies part, and what that costs the prefix cache. No server is
//! asked, and no weights are read: the model's tokenizer and chat template decide.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use models::{HubOptions, ModelSource};
use serde_json::{Value, json};

use crate::config::formats::AnswerFormats;
use crate::config::serve::RequestLimits;
use crate::model::ServedModel;
use crate::records::{Passage, explain_pair};
use crate::validate::chat::Conversation;
use crate::validate::fields::Fields;
use crate::validate::{anthropic, chat};
use crate::wire::request_record;
use crate::{clock, prompt, serve};

/// Flags of `purser why`.
#[derive(Args, Debug)]
pub struct WhyArgs {
    /// Body of the earlier request: of /v1/chat/completions, /v1/messages or /v1/completions
    pub a: PathBuf,
    /// Body of the later one
    pub b: PathBuf,
    /// Model whose tokenizer and template count: a folder, a GGUF file or a hub id [default: the
    /// built-in model]
    #[arg(long, env = "PURSER_MODEL")]
    pub model: Option<String>,
    /// Tokens per block of the server's cache
    #[arg(long, default_value = "16", value_parser = clap::value_parser!(u32).range(1..))]
    pub block_size: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Compares the two bodies and prints where they part.
///
/// # Errors
/// When a body or the model cannot be read.
pub fn run(args: &WhyArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let source = match &args.model {
        None => ModelSource::Embedded,
        Some(name) => ModelSource::named(
            name,
            HubOptions::from_lookup(crate::config::process_environment),
        ),
    };
    let model = models::open(&source)?;
    let served = serve::served_model(
        &model,
        Vec::new(),
        model.config().max_position_embeddings,
        AnswerFormats::default(),
    )?;
    let prompt = |path: &Path| {
        Prompt::read(path, &served).with_context(|| format!("reading {}", path.display()))
    };
    let (a, b) = (prompt(&args.a)?, prompt(&args.b)?);
    let comparison = Comparison::new(&served, &a, &b, args.block_size as usize);
    if args.json {
        writeln!(out, "{}", comparison.to_json())?;
    } else {
        write!(out, "{}", comparison.to_text())?;
    }
    Ok(())
}

/// A request body as tokens.
struct Prompt {
    tokens: Vec<u32>,
    conversation: Option<Conversation>,
}

impl Prompt {
    fn read(path: &Path, model: &ServedModel) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path)?;
        let said = |error: crate::wire::error::ApiError| anyhow::anyhow!("{}", error.message());
        let mut fields = Fields::from_body(&bytes).map_err(said)?;
        let body: Value = serde_json::from_slice(&bytes)?;
        if let Some(given) = body.get("prompt") {
            let text = given
                .as_str()
                .context("`prompt` must be a string to be compared")?;
            let special = fields.boolean("add_special_tokens").map_err(said)?;
            let special = special.unwrap_or(true);
            let tokens = prompt::encode(model, "prompt", text, special).map_err(said)?;
            return Ok(Self {
                tokens,
                conversation: None,
            });
        }
        let limits = RequestLimits {
            max_body_bytes: usize::MAX,
            max_messages: usize::MAX,
            max_n: usize::MAX,
            max_logprobs: usize::MAX,
            keep_alive: std::time::Duration::from_secs(1),
        };
        let conversation = match body.get("system") {
            Some(_) => anthropic::conversation(&mut fields, &limits),
            None => chat::conversation(&mut fields, &limits),
        };
        let conversation = conversation.map_err(said)?;
        let tokens = tokens(model, &conversation).map_err(said)?;
        Ok(Self {
            tokens,
            conversation: Some(conversation),
        })
    }

    /// The message in which the token at `at` stands: the first whose end lies behind it.
    fn message_at(&self, model: &ServedModel, at: usize) -> Option<(usize, String)> {
        let conversation = self.conversation.as_ref()?;
        let mut cut = conversation.clone();
        (cut.add_generation_prompt, cut.continue_final_message) = (false, false);
        (0..conversation.messages.len()).find_map(|message| {
            cut.messages = conversation.messages[..=message].to_vec();
            let begun = tokens(model, &cut).ok()?;
            let shared = self.tokens.iter().zip(&begun);
            let shared = shared.take_while(|(a, b)| a == b).count();
            let role = conversation.messages[message]["role"].as_str();
            (shared > at).then(|| (message, role.unwrap_or_default().to_owned()))
        })
    }
}

fn tokens(
    model: &ServedModel,
    conversation: &Conversation,
) -> Result<Vec<u32>, crate::wire::error::ApiError> {
    let text = prompt::render(model, conversation, clock::local())?;
    prompt::encode(model, "messages", &text, conversation.add_special_tokens)
}

/// Where two prompts part.
struct Comparison {
    a_tokens: usize,
    b_tokens: usize,
    shared: usize,
    /// Tokens that both end with, behind where they part.
    same_end: usize,
    block_size: usize,
    a: Option<Passage>,
    b: Option<Passage>,
    message: Option<(usize, String)>,
}

impl Comparison {
    fn new(model: &ServedModel, a: &Prompt, b: &Prompt, block_size: usize) -> Self {
        let (shared, in_a, in_b) = explain_pair(&model.tokenizer, &a.tokens, &b.tokens);
        let ends = a.tokens[shared..].iter().rev();
        let ends = ends.zip(b.tokens[shared..].iter().rev());
        Self {
            a_tokens: a.tokens.len(),
            b_tokens: b.tokens.len(),
            shared,
            same_end: ends.take_while(|(a, b)| a == b).count(),
            block_size,
            message: in_b.as_ref().and_then(|_| b.message_at(model, shared)),
            a: in_a,
            b: in_b,
        }
    }

    /// Tokens that a server finds of B right after A: at most all but the last.
    fn cached(&self) -> usize {
        self.shared.min(self.b_tokens.saturating_sub(1))
    }

    fn to_json(&self) -> Value {
        json!({
            "object": "comparison",
            "a_tokens": self.a_tokens,
            "b_tokens": self.b_tokens,
            "shared_tokens": self.shared,
            "shared_blocks": self.shared / self.block_size,
            "block_size": self.block_size,
            "computed_tokens": self.b_tokens - self.cached(),
            "same_end_tokens": self.same_end,
            "message": self.message.as_ref().map(|(index, role)| json!({
                "index": index,
                "role": role,
            })),
            "a": self.a.as_ref().map(request_record::passage),
            "b": self.b.as_ref().map(request_record::passage),
        })
    }

    fn to_text(&self) -> String {
        let mut text = format!(
            "A has {} tokens, B has {}. Both begin with the same {}, which fill {} blocks of {}.\n\
             B after A: {} tokens cached, {} computed.\n",
            self.a_tokens,
            self.b_tokens,
            self.shared,
            self.shared / self.block_size,
            self.block_size,
            self.cached(),
            self.b_tokens - self.cached(),
        );
        let place = match &self.message {
            Some((index, role)) => format!("message {index} ({role})"),
            None => format!("token {}", self.shared),
        };
        match (&self.a, &self.b) {
            (Some(a), Some(b)) => {
                text += &format!("They part at token {}, in {place}:\n", self.shared);
                text += &line("A", a);
                text += &line("B", b);
            }
            (None, Some(b)) => {
                text += &format!("A ends there; B goes on in {place}:\n");
                text += &line("B", b);
            }
            (Some(a), None) => {
                text += "B ends there; A goes on:\n";
                text += &line("A", a);
            }
            (None, None) => text += "They are the same.\n",
        }
        if self.same_end > self.block_size {
            text += &format!(
                "Behind the difference the last {} tokens are the same again: if what changes stood \
                 behind them, they would be cached.\n",
                self.same_end
            );
        }
        text
    }
}

fn line(name: &str, passage: &Passage) -> String {
    let show = |text: &str| text.escape_debug().to_string();
    format!(
        "  {name}  {}[{}]{}\n",
        show(&passage.before),
        show(&passage.text),
        show(&passage.after)
    )
}

#[cfg(test)]
mod tests;
