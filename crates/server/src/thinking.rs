//! The tokens that a model may think before it answers.

use std::collections::VecDeque;

use engine::{ConstraintError, TokenConstraint, TokenId, TokenMask};
use text::{AnswerFormat, AnswerParser, Detokenizer, SpecialTokenText};

use crate::model::ServedModel;

/// Counts the tokens of an answer's reasoning, and ends it where there are no more, in the words in
/// which the model ends it itself. Else everything is allowed that the answer's own constraint
/// allows.
struct ThinkingBudget {
    detokenizer: Detokenizer,
    parser: AnswerParser,
    /// Tokens of reasoning that are left.
    left: usize,
    /// The end of the reasoning, once.
    end: VecDeque<TokenId>,
    /// Whether the answer goes on with the end.
    is_ending: bool,
    inner: Option<Box<dyn TokenConstraint>>,
}

/// What an answer follows that may think for `budget` tokens, and beyond that follows `inner`. A model
/// whose reasoning the server does not find thinks for none.
pub(crate) fn constraint(
    model: &ServedModel,
    format: &AnswerFormat<'_>,
    budget: Option<usize>,
    inner: Option<Box<dyn TokenConstraint>>,
) -> Option<Box<dyn TokenConstraint>> {
    let (Some(left), Some(reasoning)) = (budget, format.reasoning) else {
        return inner;
    };
    let end = model.tokenizer.encode(reasoning.reasoning_end(), false);
    let end = end.unwrap_or_default();
    let markers = format.special_markers();
    let detokenizer = Detokenizer::new(&model.tokenizer, SpecialTokenText::Skip);
    let mut budget = ThinkingBudget {
        detokenizer: detokenizer.keeping(&markers),
        parser: AnswerParser::new(format),
        left,
        end: end.into_iter().map(TokenId).collect(),
        is_ending: false,
        inner,
    };
    budget.end_if_spent();
    Some(Box::new(budget))
}

impl ThinkingBudget {
    fn end_if_spent(&mut self) {
        self.is_ending |= self.left == 0 && self.parser.is_inside_reasoning();
    }
}

impl TokenConstraint for ThinkingBudget {
    fn allowed(&mut self) -> Result<TokenMask, ConstraintError> {
        match (self.end.front(), &mut self.inner) {
            (Some(&next), _) if self.is_ending => Ok(TokenMask::only(next)),
            (_, Some(inner)) => inner.allowed(),
            (_, None) => Ok(TokenMask::everything()),
        }
    }

    fn accept(&mut self, token: TokenId) -> Result<(), ConstraintError> {
        if let Some(inner) = &mut self.inner {
            inner.accept(token)?;
        }
        if self.is_ending {
            self.end.pop_front();
            return Ok(());
        }
        let text = self.detokenizer.push(token.0);
        let was_inside = self.parser.is_inside_reasoning();
        self.parser.push(&text);
        if was_inside {
            self.left = self.left.saturating_sub(1);
        }
        self.end_if_spent();
        Ok(())
    }
}
