//! Every template with random conversations.

use std::collections::BTreeMap;

use super::families::{Family, families, now, read_body};
use super::speaker::Speaker;
use crate::budget::division::Division;
use crate::budget::division::pieces::pieces;
use crate::budget::division::spans::Spans;
use crate::budget::place::Place;
use crate::prompt;
use crate::validate::chat::Conversation;

/// Conversations for each template.
const NUM_CONVERSATIONS: u64 = 150;

/// Templates that write texts as literals of a language.
const ESCAPING: [&str; 2] = [PRINTING, "llama3_tools"];

/// A template that cuts texts and turns them round, so that marks are not found in it.
const PRINTING: &str = "python_printing";

/// What must hold whatever a template does: pieces and template add up to the prompt.
fn check_sum(name: &str, division: &Division) {
    let mut ranges: Vec<_> = division
        .segments
        .iter()
        .filter(|segment| segment.tokens > 0)
        .map(|segment| segment.start..segment.end())
        .collect();
    ranges.sort_by_key(|range| range.start);
    let last = ranges.last().map_or(0, |range| range.end);
    assert!(last <= division.tokens.len(), "{name}: {ranges:?}");
    let apart = |pair: &[std::ops::Range<usize>]| pair[0].end <= pair[1].start;
    assert!(ranges.windows(2).all(apart), "{name}: {ranges:?}");
}

/// How many texts stand at their range, and where one does not.
fn check_texts(
    family: &Family,
    conversation: &Conversation,
    wrong: &mut BTreeMap<String, Vec<String>>,
) -> Option<(usize, bool)> {
    let plain = prompt::render(&family.model, conversation, now()).ok()?;
    let pieces = pieces(conversation, &[], &[]).unwrap();
    let places: Vec<Place> = pieces.iter().map(|piece| piece.place).collect();
    let spans = Spans::find(conversation, &places, &plain, |marked| {
        prompt::render(&family.model, marked, now()).ok()
    });
    let mut shown_texts = 0;
    for (piece, range) in pieces.iter().zip(&spans.ranges) {
        let is_text = !matches!(piece.place, Place::Tool(_) | Place::Call(..));
        let shown = plain[range.clone()].trim();
        if !is_text || shown.is_empty() {
            continue;
        }
        shown_texts += 1;
        let literal: Option<String> = serde_json::from_str(&format!("\"{shown}\"")).ok();
        let is_it = shown == piece.text.trim()
            || ESCAPING.contains(&family.name.as_str())
                && literal.is_some_and(|text| text.trim() == piece.text.trim());
        if !is_it && spans.is_exact {
            let difference = format!("{:?} is {shown:?}", piece.text);
            wrong
                .entry(family.name.clone())
                .or_default()
                .push(difference);
        }
    }
    Some((shown_texts, spans.is_exact))
}

#[test]
fn pieces_stand_where_they_are_said_to_stand() {
    let mut wrong = BTreeMap::new();
    let (mut rendered, mut exact, mut texts) = (0, 0, 0);
    let mut by_family = BTreeMap::new();
    for family in families() {
        for seed in 0..NUM_CONVERSATIONS {
            let said = Speaker::new(seed).conversation();
            let conversation = read_body(&said.openai).unwrap();
            let Some((shown, is_exact)) = check_texts(&family, &conversation, &mut wrong) else {
                continue;
            };
            texts += shown;
            let counts: &mut (usize, usize) = by_family.entry(family.name.clone()).or_default();
            *counts = (counts.0 + 1, counts.1 + usize::from(is_exact));
            if family.name != PRINTING {
                rendered += 1;
                exact += usize::from(is_exact);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(rendered > 1_500 && texts > 10_000, "{rendered}, {texts}");
    assert!(
        exact * 100 >= rendered * 99,
        "{exact} of {rendered}: {by_family:?}"
    );
}

#[test]
fn both_shapes_are_the_same_tokens_in_the_same_pieces() {
    let mut compared = 0;
    for family in families() {
        for seed in 0..NUM_CONVERSATIONS / 3 {
            let said = Speaker::new(seed).conversation();
            let openai = read_body(&said.openai).unwrap();
            let anthropic = read_body(&said.anthropic).unwrap();
            let of = |conversation: &Conversation| {
                Division::new(&family.model, conversation, &[], &[], None, now())
            };
            let (openai, anthropic) = match (of(&openai), of(&anthropic)) {
                (Ok(openai), Ok(anthropic)) => (openai, anthropic),
                (Err(_), Err(_)) => continue,
                _ => panic!("{} refuses one shape of {seed}", family.name),
            };
            let name = format!("{} {seed}", family.name);
            check_sum(&name, &openai);
            assert_eq!(openai.tokens, anthropic.tokens, "{name}");
            assert_eq!(openai.segments, anthropic.segments, "{name}");
            assert_eq!(openai.texts, anthropic.texts, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 500, "{compared}");
}
