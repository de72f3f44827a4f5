//! Which documents stand in the prompt, and where.
//!
//! [`select_documents`] takes candidates and gives those worth their tokens, in the order in which they are
//! to stand; everything else is listed with the reason. [`text_features`] finds what the planner
//! wants to know about any segment.
//!
//! A document's value is `relevance * (0.5 + 0.5 * density) * (1 - similarity)`: its score, or
//! BM25 without one; how much there is in it; and what the documents already chosen leave of it
//! (maximal marginal relevance, Carbonell and Goldstein 1998, with the Jaccard similarity of
//! sequences of five words). Its cost is `tokens + kappa * uncached`. Documents are taken by value
//! per cost while they fit; if one document alone is worth more than all of these, it is taken
//! first. Without similar documents the chosen ones are worth at least `1 / (2 * (1 + kappa))` of
//! the best choice: half of it if cached and uncached tokens cost the same.

use std::fmt;

use crate::RetrievalRule;

mod bm25;
mod choice;
mod extract;
mod features;
mod placement;
mod similarity;
pub(crate) mod words;

#[cfg(test)]
mod tests;

pub use features::{SegmentText, TextFeatures, text_density, text_features};

use bm25::Query;
use choice::{Choice, Item};
use placement::Ranked;

/// A candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Document<'a> {
    /// Its name in citations; no two documents share one.
    pub id: &'a str,
    /// Its text.
    pub text: &'a str,
    /// Relevance that the client gave it, 0 to 1.
    pub score: Option<f64>,
    /// Where it comes from.
    pub source: Option<&'a str>,
    /// Documents of a group stand together in the canonical order.
    pub group: Option<&'a str>,
    /// Its tokens in the prompt, with what is written around the text.
    pub tokens: usize,
    /// Tokens of it that the cache holds at the place where it would stand.
    pub cached: usize,
}

/// What a selection depends on.
#[derive(Clone, Copy)]
pub struct RetrievalInput<'a> {
    /// The candidates, in the client's order.
    pub documents: &'a [Document<'a>],
    /// What the documents are for: the live user turn and the assistant's last plan.
    pub query: &'a str,
    /// Tokens that the documents get in any case: a smaller cap is raised to it.
    pub floor: usize,
    /// Tokens that they may have.
    pub cap: usize,
    /// The threshold and the order.
    pub rule: RetrievalRule,
    /// What an uncached token costs beside its room, in tokens; 0 if recomputing is free.
    pub kappa: f64,
    /// Tokens of a text.
    pub count: &'a dyn Fn(&str) -> usize,
    /// What decides [`crate::Placement::Auto`].
    pub reuse: Reuse<'a>,
}

/// What an order of documents that other requests share would save.
#[derive(Clone, Copy)]
pub struct Reuse<'a> {
    /// Cached tokens if the documents of these numbers stood in this order.
    pub cached: &'a dyn Fn(&[usize]) -> usize,
    /// Milliseconds to compute a token.
    pub ms_per_token: f64,
    /// Milliseconds that it is worth to have all relevance at the ends instead of in the middle.
    pub edge_value_ms: f64,
}

/// The documents that stand in the prompt, and why the others do not.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// In the order in which they stand.
    pub kept: Vec<KeptDocument>,
    /// The rule that gave the order; never [`crate::Placement::Auto`].
    pub placement: crate::Placement,
    /// In the client's order.
    pub dropped: Vec<DroppedDocument>,
    /// Tokens of the kept ones.
    pub tokens: usize,
    /// The larger of the input's cap and floor.
    pub cap: usize,
}

/// A document that stands in the prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptDocument {
    /// Its number among the candidates.
    pub document: usize,
    /// What an answer can quote it by.
    pub citation: Citation,
    /// Its relevance.
    pub relevance: f64,
    /// Whether the client scored it, or BM25 did.
    pub scored_by: Scorer,
    /// Its value, given the documents that were chosen before it.
    pub value: f64,
    /// Its tokens; those of the extract if it is one.
    pub tokens: usize,
    /// The text that stands for it, if not all of it does.
    pub extract: Option<String>,
}

/// How a document is quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citation {
    /// The document's id.
    pub id: Box<str>,
    /// Its source.
    pub source: Option<Box<str>>,
}

/// Who found out how relevant a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scorer {
    /// The client.
    Client,
    /// BM25 over the candidates.
    Bm25,
}

/// A document that does not stand in the prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct DroppedDocument {
    /// Its number among the candidates.
    pub document: usize,
    /// Its id.
    pub id: Box<str>,
    /// Its relevance.
    pub relevance: f64,
    /// Why.
    pub reason: DropReason,
}

/// Why a document does not stand in the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Its relevance is below the rule's threshold, or 0.
    BelowMinScore,
    /// It says what this chosen document says.
    Repeats(usize),
    /// The cap was full.
    NoRoom,
}

/// Why there is no selection. The fields are those of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum RetrievalError {
    /// `documents[i].score` is not a number from 0 to 1.
    Score {
        /// Number of the document.
        document: usize,
        /// The score.
        score: f64,
    },
    /// `documents[i].id` is another document's.
    DuplicateId {
        /// Number of the later document.
        document: usize,
        /// The id.
        id: Box<str>,
    },
}

/// Chooses documents and their order. A pure function; equal values are decided by the client's
/// order.
///
/// If no document fits, the best sentences of the one that is worth most are kept.
///
/// # Errors
/// A score outside of 0 to 1, or an id that two documents share.
pub fn select_documents(input: &RetrievalInput<'_>) -> Result<Selection, RetrievalError> {
    check(input.documents)?;
    let words: Vec<Vec<u64>> = input
        .documents
        .iter()
        .map(|d| words::words(d.text))
        .collect();
    let (query, counts) = Query::new(input.query, &words);
    let bm25 = query.bm25(&counts);
    let relevance: Vec<f64> = input
        .documents
        .iter()
        .zip(bm25)
        .map(|(document, bm25)| document.score.unwrap_or(bm25))
        .collect();
    let items = items(input, &relevance);
    let cap = input.cap.max(input.floor);
    let choice = choice::choose(
        &items,
        &words,
        cap,
        input.rule.diversity,
        |document, room| extract::extract(&input.documents[document], &query, room, input.count),
    );
    Ok(report(input, &relevance, choice, cap))
}

impl DropReason {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::BelowMinScore => "below min_score",
            Self::Repeats(_) => "repeats another document",
            Self::NoRoom => "no room",
        }
    }
}

impl fmt::Display for RetrievalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Score { document, score } => {
                write!(f, "documents[{document}].score is {score}, not from 0 to 1")
            }
            Self::DuplicateId { document, id } => {
                write!(f, "documents[{document}].id is used twice: {id}")
            }
        }
    }
}

impl std::error::Error for RetrievalError {}

fn check(documents: &[Document<'_>]) -> Result<(), RetrievalError> {
    for (document, score) in documents
        .iter()
        .enumerate()
        .filter_map(|(i, d)| Some((i, d.score?)))
    {
        if !(0.0..=1.0).contains(&score) {
            return Err(RetrievalError::Score { document, score });
        }
    }
    let mut ids: Vec<(&str, usize)> = documents
        .iter()
        .enumerate()
        .map(|(i, document)| (document.id, i))
        .collect();
    ids.sort_unstable();
    let twice = ids
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0)
        .map(|pair| pair[1].1)
        .min();
    match twice {
        Some(document) => Err(RetrievalError::DuplicateId {
            document,
            id: documents[document].id.into(),
        }),
        None => Ok(()),
    }
}

/// The candidates that reach the threshold.
fn items(input: &RetrievalInput<'_>, relevance: &[f64]) -> Vec<Item> {
    let reaching = relevance
        .iter()
        .enumerate()
        .filter(|(_, relevance)| **relevance > 0.0 && **relevance >= input.rule.min_score);
    reaching
        .map(|(document, relevance)| {
            let Document {
                text,
                tokens,
                cached,
                ..
            } = input.documents[document];
            let uncached = tokens.saturating_sub(cached) as f64;
            Item {
                document,
                tokens,
                cost: (tokens as f64 + input.kappa * uncached).max(1.0),
                value: relevance * (0.5 + 0.5 * text_density(text, tokens)),
            }
        })
        .collect()
}

fn report(input: &RetrievalInput<'_>, relevance: &[f64], choice: Choice, cap: usize) -> Selection {
    let ranked: Vec<Ranked> = choice
        .taken
        .iter()
        .map(|taken| Ranked {
            document: taken.document,
            relevance: relevance[taken.document],
            tokens: taken.tokens,
        })
        .collect();
    let (placement, order) =
        placement::place(&ranked, input.documents, input.rule.placement, &input.reuse);
    let mut taken: Vec<Option<choice::Taken>> = input.documents.iter().map(|_| None).collect();
    let tokens = choice.taken.iter().map(|taken| taken.tokens).sum();
    for kept in choice.taken {
        let document = kept.document;
        taken[document] = Some(kept);
    }
    let dropped = (0..relevance.len())
        .filter(|document| taken[*document].is_none())
        .map(|document| DroppedDocument {
            document,
            id: input.documents[document].id.into(),
            relevance: relevance[document],
            reason: choice.reasons[document].unwrap_or(DropReason::BelowMinScore),
        })
        .collect();
    let kept = order
        .into_iter()
        .filter_map(|document| taken[document].take())
        .map(|kept| keep(input, relevance, kept))
        .collect();
    Selection {
        kept,
        placement,
        dropped,
        tokens,
        cap,
    }
}

fn keep(input: &RetrievalInput<'_>, relevance: &[f64], taken: choice::Taken) -> KeptDocument {
    let document = &input.documents[taken.document];
    KeptDocument {
        document: taken.document,
        citation: Citation {
            id: document.id.into(),
            source: document.source.map(Into::into),
        },
        relevance: relevance[taken.document],
        scored_by: if document.score.is_some() {
            Scorer::Client
        } else {
            Scorer::Bm25
        },
        value: taken.value,
        tokens: taken.tokens,
        extract: taken.extract,
    }
}
