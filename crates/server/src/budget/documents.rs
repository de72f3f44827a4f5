//! Documents that the server chooses from those that a request offers (`documents`), and memories
//! that match what the user says: as many as there is room for, wrapped for the model, in one text.

mod element;
mod extract;

use context::{
    Document, DropReason, RetrievalInput, RetrievalRule, Reuse, Selection, select_documents,
};

use crate::wire::context_report::{DroppedReport, PlacementReport};

pub(super) use extract::extract;

use element::{element, opening, wrapped};

/// Milliseconds that it is worth to have all relevance at the ends of the documents instead of in
/// their middle: a tenth of a second is what people just notice of a wait.
const EDGE_VALUE_MS: f64 = 100.0;

/// What texts are offered as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfferKind {
    /// `documents` of the request.
    Documents,
    /// Files of a memory.
    Memory,
}

/// A text that is offered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Offered {
    /// Its name in citations and reports; no two have the same.
    pub(super) id: String,
    /// What it says.
    pub(super) text: String,
    /// How relevant it is, 0 to 1, if that is known.
    pub(super) score: Option<f64>,
    /// Where it is from.
    pub(super) source: Option<String>,
    /// Texts of a group belong together.
    pub(super) group: Option<String>,
}

/// Texts to choose from, counted.
pub(super) struct Offers {
    kind: OfferKind,
    /// In the client's order.
    texts: Vec<Offered>,
    /// Tokens of each with what is written around it.
    tokens: Vec<usize>,
    /// Tokens of what is written around all of them.
    frame: usize,
}

/// What a choice depends on.
#[derive(Clone, Copy)]
pub(super) struct Choosing<'a> {
    /// What the texts are for.
    pub(super) query: &'a str,
    /// Tokens that all of it may have, what is written around the texts included.
    pub(super) cap: usize,
    /// Everything is taken as it was offered, and what would have been left out is told.
    pub(super) takes_all: bool,
    /// The least score, and the order.
    pub(super) rule: RetrievalRule,
    /// Tokens of a text.
    pub(super) count: &'a dyn Fn(&str) -> usize,
    /// What is cached of orders.
    pub(super) known: &'a KnownOrders,
}

/// What the cache holds of prompts with the documents in some orders.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct KnownOrders {
    /// Numbers of the documents in their order, and the cached tokens of that prompt.
    pub(super) cached: Vec<(Vec<usize>, usize)>,
    /// Milliseconds to compute a token.
    pub(super) ms_per_token: f64,
}

/// What was chosen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chosen {
    /// The text that is put into the prompt; `None` if nothing was chosen.
    pub(super) text: Option<String>,
    /// Numbers of the chosen texts in their order.
    pub(super) order: Vec<usize>,
    /// What the report says of them.
    pub(super) placement: PlacementReport,
    /// By place in the order: the first line of its element.
    pub(super) openings: Vec<String>,
    /// What was left out, or would have been.
    pub(super) dropped: Vec<DroppedReport>,
}

impl OfferKind {
    /// The zone of what is chosen, as reports name it.
    fn zone(self) -> &'static str {
        match self {
            Self::Documents => "retrieval",
            Self::Memory => "memory",
        }
    }

    /// The tag around everything, that of a text, and the attribute that names it.
    fn tags(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Documents => ("documents", "document", "id"),
            Self::Memory => ("memory", "memory_file", "path"),
        }
    }
}

impl Offers {
    /// Counts texts.
    pub(super) fn new(kind: OfferKind, texts: Vec<Offered>, count: impl Fn(&str) -> usize) -> Self {
        let mut offers = Self {
            kind,
            texts,
            tokens: Vec::new(),
            frame: count(&wrapped(kind.tags().0, &[])),
        };
        let texts = offers.texts.iter();
        offers.tokens = texts
            .map(|text| count(&offers.element(text, &text.text)))
            .collect();
        offers
    }

    /// Chooses what is worth its tokens, as [`select_documents`] does. Where no text has a word of
    /// the query, nobody has scored one and no score is asked for, they are all as good.
    ///
    /// # Panics
    /// If two texts have the same name, or a score is not from 0 to 1.
    pub(super) fn choose(&self, choosing: &Choosing<'_>) -> Chosen {
        let cap = choosing.cap.saturating_sub(self.frame);
        let mut selection = self.select(choosing, cap, None);
        let is_scored = self.texts.iter().any(|text| text.score.is_some());
        let mut dropped = selection.dropped.iter();
        let matches = !selection.kept.is_empty() || dropped.any(|text| text.relevance > 0.0);
        let is_blind = !matches && !is_scored && choosing.rule.min_score == 0.0;
        if is_blind {
            selection = self.select(choosing, cap, Some(1.0));
        }
        let mut scores = vec![0.0; self.texts.len()];
        if !is_blind {
            let kept = selection.kept.iter();
            let dropped = selection.dropped.iter();
            let scored = kept
                .map(|text| (text.document, text.relevance))
                .chain(dropped.map(|text| (text.document, text.relevance)));
            scored.for_each(|(number, relevance)| scores[number] = relevance);
        }
        self.chosen(&selection, &scores, choosing.takes_all)
    }

    /// Tokens of the most relevant text with what is written around it; 0 if none is relevant.
    pub(super) fn tokens_of_best(&self, choosing: &Choosing<'_>) -> usize {
        let selection = self.select(choosing, usize::MAX, None);
        let best = selection.kept.iter().reduce(|best, text| {
            if text.relevance > best.relevance {
                text
            } else {
                best
            }
        });
        best.map_or(0, |best| best.tokens + self.frame)
    }

    fn select(&self, choosing: &Choosing<'_>, cap: usize, score: Option<f64>) -> Selection {
        let texts = self.texts.iter().zip(&self.tokens);
        let documents: Vec<Document<'_>> = texts
            .map(|(text, &tokens)| Document {
                id: &text.id,
                text: &text.text,
                score: text.score.or(score),
                source: text.source.as_deref(),
                group: text.group.as_deref(),
                tokens,
                cached: 0,
            })
            .collect();
        let cached = |order: &[usize]| {
            let mut known = choosing.known.cached.iter();
            known
                .find(|(of, _)| of == order)
                .map_or(0, |(_, cached)| *cached)
        };
        let selection = select_documents(&RetrievalInput {
            documents: &documents,
            query: choosing.query,
            floor: 0,
            cap,
            rule: choosing.rule,
            kappa: 0.0,
            count: choosing.count,
            reuse: Reuse {
                cached: &cached,
                ms_per_token: choosing.known.ms_per_token,
                edge_value_ms: EDGE_VALUE_MS,
            },
        });
        selection.expect("equal names and scores out of range are refused before")
    }

    fn chosen(&self, selection: &Selection, scores: &[f64], takes_all: bool) -> Chosen {
        let kept: Vec<(usize, Option<&str>)> = if takes_all {
            (0..self.texts.len()).map(|number| (number, None)).collect()
        } else {
            let kept = selection.kept.iter();
            kept.map(|text| (text.document, text.extract.as_deref()))
                .collect()
        };
        let texts = kept.iter().map(|&(number, _)| &self.texts[number]);
        let elements: Vec<String> = kept
            .iter()
            .map(|&(number, extract)| {
                let text = &self.texts[number];
                self.element(text, extract.unwrap_or(&text.text))
            })
            .collect();
        let shortened = kept.iter().filter(|(_, extract)| extract.is_some());
        let (tag, of_one, _) = self.kind.tags();
        let openings = texts
            .clone()
            .map(|text| opening(of_one, &self.attributes(text)))
            .collect();
        Chosen {
            placement: PlacementReport {
                zone: self.kind.zone(),
                order: texts.map(|text| text.id.clone()).collect(),
                rule: selection.placement.name(),
                scores: kept.iter().map(|&(number, _)| scores[number]).collect(),
                shortened: shortened
                    .map(|&(number, _)| self.texts[number].id.clone())
                    .collect(),
            },
            text: (!elements.is_empty()).then(|| wrapped(tag, &elements)),
            order: kept.iter().map(|&(number, _)| number).collect(),
            openings,
            dropped: self.dropped(selection),
        }
    }

    fn dropped(&self, selection: &Selection) -> Vec<DroppedReport> {
        let dropped = selection.dropped.iter();
        dropped
            .map(|text| DroppedReport {
                zone: self.kind.zone(),
                id: text.id.to_string(),
                reason: match text.reason {
                    DropReason::Repeats(of) => format!("repeats {}", self.texts[of].id),
                    _ if text.relevance == 0.0 => "not relevant".to_owned(),
                    reason => reason.name().to_owned(),
                },
            })
            .collect()
    }

    fn element(&self, offered: &Offered, text: &str) -> String {
        let (_, tag, _) = self.kind.tags();
        element(tag, &self.attributes(offered), text)
    }

    fn attributes<'t>(&self, offered: &'t Offered) -> Vec<(&'static str, &'t str)> {
        let (_, _, name) = self.kind.tags();
        let source = offered.source.as_deref();
        let source = source.map(|source| ("source", source));
        [(name, offered.id.as_str())]
            .into_iter()
            .chain(source)
            .collect()
    }
}

#[cfg(test)]
mod tests;
