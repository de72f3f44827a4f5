//! Whether a summary says what cannot be said in other words.

use super::{CriticalToken, is_kept, recall};
use crate::summary::{Section, SectionedSummary};

/// Share of a summary's cap that may be used for what it forgot and must have.
const FACTS: f64 = 0.15;
/// Longest sentence that stands for a token, in bytes; of a longer one the words around the token are
/// told.
const SENTENCE: usize = 140;

/// What a summary must keep, and in how much room.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateRule {
    /// Share of the weight that must be kept.
    pub recall: f64,
    /// Tokens that the summary may have.
    pub max_tokens: usize,
}

/// What the gate says of a summary.
#[derive(Clone, Debug, PartialEq)]
pub struct Gated {
    /// The summary, with what was added.
    pub text: String,
    /// Its tokens.
    pub tokens: usize,
    /// Whether it keeps enough and fits.
    pub passed: bool,
    /// Required tokens of the span.
    pub found: usize,
    /// Those that the summary has, the added ones too.
    pub kept: usize,
    /// Share of the weight kept, before and after the addition.
    pub recall_before: f64,
    /// See above.
    pub recall: f64,
    /// What was added under `facts:`, word for word from the span.
    pub appended: Vec<String>,
}

/// Adds to `summary` what it misses, the heaviest first, under `facts:`, within 15 % of the cap,
/// until it keeps enough, and then what is not required; then judges it.
pub fn gate(
    tokens: &[CriticalToken],
    mut summary: SectionedSummary,
    rule: GateRule,
    count: &dyn Fn(&str) -> usize,
) -> Gated {
    let mut text = summary.render();
    let recall_before = recall(tokens, &text);
    let mut appended = additions(tokens, &text, rule, count);
    if !appended.is_empty() {
        appended
            .iter()
            .for_each(|said| summary.push(Section::Facts, said));
        text = summary.render();
        // Tokens at the seams can differ from those of the parts.
        while count(&text) > rule.max_tokens
            && let Some(last) = appended.pop()
        {
            summary.retain(Section::Facts, |line| *line != last);
            text = summary.render();
        }
    }
    let length = count(&text);
    let recall = recall(tokens, &text);
    let folded = text.to_lowercase();
    let required = || tokens.iter().filter(|token| token.is_required);
    Gated {
        passed: recall >= rule.recall && length <= rule.max_tokens,
        found: required().count(),
        kept: required().filter(|token| is_kept(token, &folded)).count(),
        tokens: length,
        text,
        recall_before,
        recall,
        appended,
    }
}

/// What `text` misses, the heaviest first, as far as there is room for it; of the required ones only
/// until it keeps enough.
fn additions(
    tokens: &[CriticalToken],
    text: &str,
    rule: GateRule,
    count: &dyn Fn(&str) -> usize,
) -> Vec<String> {
    let left = rule.max_tokens.saturating_sub(count(text));
    let left = left.saturating_sub(count("facts:\n"));
    let mut room = left.min((rule.max_tokens as f64 * FACTS) as usize);
    let mut spare = left - room;
    let mut appended: Vec<String> = Vec::new();
    let required = tokens.iter().filter(|token| token.is_required);
    let total: f64 = required.map(|token| token.weight).sum();
    let mut kept = recall(tokens, text) * total;
    let folded = text.to_lowercase();
    for token in tokens.iter().filter(|token| !is_kept(token, &folded)) {
        if token.is_required && kept >= rule.recall * total {
            continue;
        }
        let gained = if token.is_required { token.weight } else { 0.0 };
        if !token.is_required {
            // Nothing required comes behind it.
            room += std::mem::take(&mut spare);
        }
        let added = appended.join("\n").to_lowercase();
        if is_kept(token, &added) {
            kept += gained;
            continue;
        }
        let around = token
            .sentence
            .as_deref()
            .map(|said| around(said, &token.text));
        let said = [around, Some(token.text.as_str())];
        let fitting = said
            .into_iter()
            .flatten()
            .map(|said| (said, count(said) + 3));
        if let Some((said, tokens)) = fitting.into_iter().find(|(_, tokens)| *tokens <= room) {
            room -= tokens;
            kept += gained;
            appended.push(said.to_owned());
        }
    }
    appended
}

/// `sentence`, or of a long one whole words around `token`.
fn around<'a>(sentence: &'a str, token: &str) -> &'a str {
    let at = sentence.find(token).unwrap_or(0);
    let spare = SENTENCE.saturating_sub(token.len()) / 2;
    let is_border =
        |at: &usize| *at == 0 || *at == sentence.len() || sentence.as_bytes()[*at] == b' ';
    let from = (at.saturating_sub(spare)..=at)
        .find(is_border)
        .unwrap_or(at);
    let end = (at + token.len()).min(sentence.len());
    let to = (end..=(end + spare).min(sentence.len())).rev();
    let to = to.into_iter().find(is_border).unwrap_or(end);
    match sentence.len() <= SENTENCE {
        true => sentence,
        false => sentence.get(from..to).map_or(sentence, str::trim),
    }
}
