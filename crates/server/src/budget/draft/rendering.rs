//! From a draft and edits to tokens.

use context::{Policy, TellModel};

use super::Draft;
use crate::budget::standing::StandingEdit;
use crate::budget::{changes, tail_note};
use crate::prompt;
use crate::validate::chat::Conversation;
use crate::wire::error::ApiError;

impl Draft {
    /// The prompt with `edits`.
    ///
    /// # Errors
    /// When it cannot be rendered.
    pub(super) fn render(&self, edits: &[StandingEdit]) -> Result<Vec<u32>, ApiError> {
        if edits.is_empty() && !self.tells_model() {
            return Ok(self.division.tokens.clone());
        }
        let changed = changes::apply(&self.input.conversation, &self.division, edits);
        if self.tells_model() {
            return self.noted(&changed).map(|(_, tokens)| tokens);
        }
        self.encode(&changed)
    }

    /// The conversation as the prompt with `edits` has it.
    ///
    /// # Errors
    /// When it cannot be rendered.
    pub(in crate::budget) fn conversation(
        &self,
        edits: &[StandingEdit],
    ) -> Result<Conversation, ApiError> {
        let changed = changes::apply(&self.input.conversation, &self.division, edits);
        if self.tells_model() {
            return self.noted(&changed).map(|(noted, _)| noted);
        }
        Ok(changed)
    }

    fn tells_model(&self) -> bool {
        self.resolved.tell_model == TellModel::TailNote && self.input.enforces
    }

    fn noted(&self, changed: &Conversation) -> Result<(Conversation, Vec<u32>), ApiError> {
        let Policy { budget, output, .. } = &self.resolved.policy;
        let room = budget.saturating_sub(output.min);
        let prompt = self.tokens.len().max(self.division.tokens.len());
        let encode = |conversation: &Conversation| self.encode(conversation);
        tail_note::encode_noted(changed, (*budget, room), prompt, encode)
    }

    fn encode(&self, conversation: &Conversation) -> Result<Vec<u32>, ApiError> {
        let text = prompt::render(&self.input.model, conversation, self.input.now)?;
        let special = conversation.add_special_tokens;
        prompt::encode(&self.input.model, "messages", &text, special)
    }
}
