//! A summary made of the span's own sentences.
//!
//! The user's constraints and preferences, the goal and the next step come first. Then sentences are taken by what
//! they add per token: critical tokens that no other chosen sentence has, and rank (TextRank,
//! richness in words, place) times novelty, which is 1 less the similarity to the nearest chosen
//! one. Similarity is the cosine of tf-idf vectors.

use std::collections::{BTreeMap, BTreeSet};

use super::cues::{is_next_step, section};
use super::rank::{self, Vector, similarities, text_rank, vectors};
use super::{Section, SectionedSummary, Sentence, SpanPart, Speaker, sentences, superseded};
use crate::SummaryLevel;
use crate::critical::{CriticalToken, GateRule, Gated, critical_of, gate, scan};

/// What a summary may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExtractRule {
    /// [`SummaryLevel::Minimal`] has goal, constraints and next step, and critical facts; the
    /// others all sections.
    pub level: SummaryLevel,
    /// Tokens that it may have, see [`SummaryLevel::cap`].
    pub max_tokens: usize,
    /// Share of the critical weight that it must keep to pass.
    pub recall: f64,
}

/// A summary of `parts` in their own words, and what the gate says of it; `None` if not one
/// sentence fits, or there is none.
///
/// `later` is the text behind the span. Sentences that a later one supersedes are left out, and
/// orders that stand in tool results. At most 400 sentences are compared; of more, those with
/// critical tokens, of users and at both ends are.
pub fn extractive_summary(
    parts: &[SpanPart<'_>],
    later: &str,
    rule: ExtractRule,
    count: &dyn Fn(&str) -> usize,
) -> Option<Gated> {
    let all = sentences(parts);
    let gone = superseded(&all);
    let critical = critical_of(&all, &gone, later);
    let candidates = candidates(&all, &gone, &critical, count);
    let candidates = most_telling(candidates);
    let chosen = Choice::new(&candidates, &critical, rule, count).choose();
    let mut summary = SectionedSummary::default();
    for (candidate, chosen) in candidates.iter().zip(&chosen) {
        if *chosen {
            summary.push(candidate.section, candidate.text);
        }
    }
    summary.cap(rule.max_tokens, count);
    let rule = GateRule {
        recall: rule.recall,
        max_tokens: rule.max_tokens,
    };
    let gated = gate(&critical, summary, rule, count);
    (!gated.text.is_empty()).then_some(gated)
}

/// A sentence that may be chosen.
struct Candidate<'a> {
    text: &'a str,
    section: Section,
    speaker: Speaker,
    tokens: usize,
    /// Numbers of the critical tokens that it has.
    critical: Vec<usize>,
    /// Its place among all, 0 to 1.
    place: f64,
}

impl Candidate<'_> {
    /// Whether it is chosen before all others if there is room.
    fn is_wanted_first(&self) -> bool {
        let first = [
            Section::Goal,
            Section::Constraints,
            Section::Preferences,
            Section::NextStep,
        ];
        first.contains(&self.section)
    }

    /// Of first and last sentences, more than of those in the middle.
    fn end(&self) -> f64 {
        (2.0 * self.place - 1.0).abs()
    }
}

fn candidates<'a>(
    sentences: &[Sentence<'a>],
    gone: &[bool],
    critical: &[CriticalToken],
    count: &dyn Fn(&str) -> usize,
) -> Vec<Candidate<'a>> {
    let sections = sections(sentences, gone);
    let texts = critical.iter().map(|token| token.text.as_str());
    let numbers: BTreeMap<&str, usize> = texts.zip(0..).collect();
    let mut seen = BTreeSet::new();
    let mut candidates = Vec::new();
    for (i, sentence) in sentences.iter().enumerate() {
        let Some(section) = sections[i].filter(|_| seen.insert(sentence.text)) else {
            continue;
        };
        let mut critical: Vec<usize> = scan(sentence.text)
            .into_iter()
            .filter_map(|found| numbers.get(&sentence.text[found.range]).copied())
            .collect();
        critical.sort_unstable();
        critical.dedup();
        candidates.push(Candidate {
            text: sentence.text,
            section,
            speaker: sentence.speaker,
            tokens: count(sentence.text) + 2,
            critical,
            place: i as f64 / sentences.len() as f64,
        });
    }
    candidates
}

/// The section of each sentence; `None` for those that may not stand.
fn sections(sentences: &[Sentence<'_>], gone: &[bool]) -> Vec<Option<Section>> {
    let mut sections: Vec<Option<Section>> = sentences
        .iter()
        .zip(gone)
        .map(|(sentence, gone)| {
            (!gone && !sentence.is_order_of_a_tool()).then(|| section(sentence))
        })
        .collect();
    let says = |i: &usize| sections[*i].is_some() && sentences[*i].text.contains(' ');
    let goal = (0..sentences.len())
        .filter(says)
        .find(|i| sentences[*i].speaker == Speaker::User && sentences[*i].text.len() >= 20);
    let spoken = |i: &usize| says(i) && sentences[*i].speaker != Speaker::Tool;
    let next = (0..sentences.len())
        .rev()
        .filter(spoken)
        .find(|i| is_next_step(sentences[*i].text));
    if let Some(goal) = goal.filter(|goal| sections[*goal] != Some(Section::Constraints)) {
        sections[goal] = Some(Section::Goal);
    }
    if let Some(next) = next {
        sections[next] = Some(Section::NextStep);
    }
    sections
}

/// At most [`rank::MOST`] of `candidates`, in their order.
fn most_telling(candidates: Vec<Candidate<'_>>) -> Vec<Candidate<'_>> {
    if candidates.len() <= rank::MOST {
        return candidates;
    }
    let worth = |candidate: &Candidate<'_>| {
        let speaker = match candidate.speaker {
            Speaker::User => 2.0,
            Speaker::Assistant => 1.0,
            Speaker::Tool => 0.0,
        };
        let first = if candidate.is_wanted_first() {
            10.0
        } else {
            0.0
        };
        first + speaker + candidate.critical.len() as f64 + candidate.end()
    };
    let mut ranked: Vec<(f64, usize)> = candidates
        .iter()
        .enumerate()
        .map(|(i, candidate)| (worth(candidate), i))
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut keep = vec![false; candidates.len()];
    ranked
        .iter()
        .take(rank::MOST)
        .for_each(|(_, i)| keep[*i] = true);
    let mut keep = keep.into_iter();
    let mut kept = candidates;
    kept.retain(|_| keep.next() == Some(true));
    kept
}

/// The choice of sentences.
struct Choice<'c> {
    candidates: &'c [Candidate<'c>],
    weights: Vec<f64>,
    rule: ExtractRule,
    similarities: Vec<Vec<f64>>,
    /// Rank, 0 to 1.
    ranks: Vec<f64>,
    headings: Vec<usize>,
    chosen: Vec<bool>,
    /// Critical tokens that a chosen sentence has.
    covered: Vec<bool>,
    /// Similarity to the nearest chosen sentence.
    nearest: Vec<f64>,
    sections: Vec<Section>,
    tokens: usize,
}

impl<'c> Choice<'c> {
    fn new(
        candidates: &'c [Candidate<'c>],
        critical: &[CriticalToken],
        rule: ExtractRule,
        count: &dyn Fn(&str) -> usize,
    ) -> Self {
        let texts: Vec<&str> = candidates.iter().map(|candidate| candidate.text).collect();
        let vectors = vectors(&texts);
        let similarities = similarities(&vectors);
        let ranks = ranks(candidates, &vectors, &similarities);
        let total: f64 = critical.iter().map(|token| token.weight).sum();
        Self {
            weights: critical.iter().map(|token| token.weight / total).collect(),
            headings: Section::ALL
                .map(|section| count(section.heading()) + 2)
                .to_vec(),
            chosen: vec![false; candidates.len()],
            covered: vec![false; critical.len()],
            nearest: vec![0.0; candidates.len()],
            sections: Vec::new(),
            tokens: 0,
            candidates,
            rule,
            similarities,
            ranks,
        }
    }

    fn choose(mut self) -> Vec<bool> {
        // The rest is for what the gate finds missing.
        let room = self.rule.max_tokens * 9 / 10;
        self.take_while_worth(room / 2, &|candidate| candidate.is_wanted_first());
        let level = self.rule.level;
        self.take_while_worth(room, &|candidate| {
            level != SummaryLevel::Minimal || candidate.is_wanted_first()
        });
        self.chosen
    }

    /// Takes the sentence that adds most per token, again and again, while one fits into `room`.
    fn take_while_worth(&mut self, room: usize, may: &dyn Fn(&Candidate<'_>) -> bool) {
        loop {
            let fitting = (0..self.candidates.len()).filter(|i| {
                let is_open = !self.chosen[*i] && may(&self.candidates[*i]);
                is_open && self.tokens + self.cost(*i) <= room
            });
            let rated = fitting.map(|i| (self.gain(i) / (self.cost(i) as f64).sqrt(), i));
            let best = rated.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
            match best {
                Some((rate, i)) if rate > 0.0 => self.take(i),
                _ => return,
            }
        }
    }

    fn cost(&self, i: usize) -> usize {
        let Candidate {
            section, tokens, ..
        } = &self.candidates[i];
        let heading = match self.sections.contains(section) {
            true => 0,
            false => self.headings[*section as usize],
        };
        tokens + heading
    }

    fn gain(&self, i: usize) -> f64 {
        let critical = self.candidates[i]
            .critical
            .iter()
            .filter(|token| !self.covered[**token]);
        let covered: f64 = critical.map(|token| self.weights[*token]).sum();
        let first = if self.candidates[i].is_wanted_first() {
            0.5
        } else {
            0.0
        };
        let novelty = 1.0 - self.nearest[i];
        // A summary of a few sentences should keep all critical tokens before it keeps any prose.
        10.0 * covered + (0.1 * self.ranks[i] + first) * novelty.max(0.0)
    }

    fn take(&mut self, i: usize) {
        self.tokens += self.cost(i);
        self.sections.push(self.candidates[i].section);
        self.chosen[i] = true;
        for token in &self.candidates[i].critical {
            self.covered[*token] = true;
        }
        for (nearest, similarity) in self.nearest.iter_mut().zip(&self.similarities[i]) {
            *nearest = nearest.max(*similarity);
        }
    }
}

/// TextRank, richness in words and place of each candidate, 0 to 1; tools' lines count half.
fn ranks(candidates: &[Candidate<'_>], vectors: &[Vector], similarities: &[Vec<f64>]) -> Vec<f64> {
    let central = text_rank(similarities);
    let most = vectors.iter().map(Vector::len).max().unwrap_or(0).max(1) as f64;
    let rank = candidates
        .iter()
        .zip(vectors)
        .zip(central)
        .map(|((candidate, vector), central)| {
            let rich = (vector.len() as f64 / most).sqrt();
            let speaker = if candidate.speaker == Speaker::Tool {
                0.5
            } else {
                1.0
            };
            speaker * (0.6 * central + 0.2 * rich + 0.2 * candidate.end())
        });
    rank.collect()
}
