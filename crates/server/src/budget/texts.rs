//! The texts that stand for what is edited, and how long they are.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use context::{
    CompressionLevel, EditOp, Focus, Particulars, Replacements, Segment, SegmentKind, SummaryLevel,
    SummaryTokens, shrink_all,
};
use memory::{Handle, Tenant};
use text::Tokenizer;

use super::division::Division;
use super::documents::extract;
use super::standing::Standing;
use super::summaries::Summaries;

/// Part of a document's tokens that its best sentences may have.
const EXTRACTED: usize = 3;

/// What replaces a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    /// The text.
    pub(super) text: String,
    /// Its tokens, counted alone.
    pub(super) tokens: usize,
    /// By what the original is had back.
    pub(super) restore: Option<Handle>,
}

/// The planner's view of the texts of one request; nothing is counted twice.
pub(super) struct Texts<'a> {
    pub(super) division: &'a Division,
    pub(super) standing: &'a Standing,
    pub(super) summaries: &'a Summaries,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) tenant: &'a Tenant,
    pub(super) focus: Focus,
    /// Tokens that retrieved text may have.
    pub(super) retrieval_max: usize,
    /// Whether what stands for a cleared result has no handle, where nothing fits otherwise: the
    /// report has it.
    pub(super) is_terse: bool,
    pub(super) made: Made,
}

/// What was made for the plans of one conversation as it stands: another plan of it needs most of
/// that again.
#[derive(Default)]
pub(super) struct Made {
    replacements: HashMap<(usize, EditOp), Option<Replacement>>,
    /// What pieces name.
    names: HashMap<usize, Particulars>,
}

impl Made {
    /// What stands for a piece after an edit that was asked for.
    pub(super) fn replacement(&self, piece: usize, op: &EditOp) -> Option<&Replacement> {
        self.replacements.get(&(piece, op.clone()))?.as_ref()
    }

    /// Forgets what stands for cleared results.
    pub(super) fn forget_markers(&mut self) {
        self.replacements
            .retain(|(_, op), _| *op != EditOp::ClearToolResult);
    }

    /// Forgets what depends on the room that retrieved text has.
    pub(super) fn forget_extracts(&mut self) {
        self.replacements
            .retain(|(_, op), _| *op != EditOp::ExtractDocument);
    }
}

impl Texts<'_> {
    /// What would stand for a piece after `op`; `None` if that cannot be done or is no shorter.
    pub(super) fn replacement(&mut self, piece: usize, op: &EditOp) -> Option<&Replacement> {
        let key = (piece, op.clone());
        if !self.made.replacements.contains_key(&key) {
            match op {
                EditOp::Compress(_) => self.compress(piece),
                _ => {
                    let made = self.make(piece, op);
                    self.keep(piece, op.clone(), made);
                }
            }
        }
        self.made.replacements[&key].as_ref()
    }

    fn keep(&mut self, piece: usize, op: EditOp, made: Option<Replacement>) {
        // The piece is only the first one of an example.
        let before = match op {
            EditOp::DropExample => usize::MAX,
            _ => self.standing.segments[piece].tokens,
        };
        let shorter = made.filter(|made| made.tokens < before);
        self.made.replacements.insert((piece, op), shorter);
    }

    /// Makes all levels of the original text: each begins with what the ones before have found.
    fn compress(&mut self, piece: usize) {
        let original = &self.standing.originals[piece];
        let edit = &self.standing.segments[piece].edit;
        let is_shortened = matches!(edit, None | Some(EditOp::Compress(_)));
        let may = original.start() == original.end() && is_shortened;
        let text = &self.division.texts[*original.start()];
        let levels = match may {
            true => shrink_all(text, &self.focus, &|text| self.count(text)),
            false => Default::default(),
        };
        for (level, made) in CompressionLevel::ALL.into_iter().zip(levels) {
            let made = made.map(|made| Replacement {
                text: made.text,
                tokens: made.tokens,
                restore: None,
            });
            self.keep(piece, EditOp::Compress(level), made);
        }
    }

    fn make(&self, piece: usize, op: &EditOp) -> Option<Replacement> {
        let segment = &self.standing.segments[piece];
        let original = &self.standing.originals[piece];
        // An edited piece has no text of its own to edit further, but for clearing it away.
        let at = *original.start();
        let is_single = original.start() == original.end();
        if !is_single {
            return None;
        }
        let text = &self.division.texts[at];
        match op {
            EditOp::ClearToolResult => {
                tool(segment)?;
                if self.is_terse {
                    return Some(self.counted("[cleared]".to_owned()));
                }
                // The call beside it says what was asked, so the record can be short.
                let handle = Handle::of(self.tenant, text);
                Some(self.restorable(format!("[cleared {handle}]"), handle))
            }
            EditOp::Offload => {
                let handle = Handle::of(self.tenant, text);
                Some(self.restorable(format!("[moved to memory {handle}]"), handle))
            }
            EditOp::Dedupe { original } => {
                let first = &self.standing.segments[*original];
                let name = tool(first)?;
                Some(self.counted(format!("[same result as the earlier call of {name}]")))
            }
            EditOp::ClearToolInput => Some(self.counted("{}".to_owned())),
            EditOp::ClearReasoning | EditOp::DropDocument | EditOp::DropExample => {
                Some(Replacement {
                    text: String::new(),
                    tokens: 0,
                    restore: None,
                })
            }
            EditOp::ExtractDocument => {
                let count = |text: &str| self.count(text);
                let cap = (segment.tokens / EXTRACTED).min(self.retrieval_max);
                let text = extract(text, &self.division.query(), cap, &count)?;
                Some(self.counted(text))
            }
            EditOp::Compress(_) | EditOp::Compact(_) | EditOp::PruneTool => None,
        }
    }

    fn restorable(&self, text: String, handle: Handle) -> Replacement {
        Replacement {
            restore: Some(handle),
            ..self.counted(text)
        }
    }

    fn counted(&self, text: String) -> Replacement {
        Replacement {
            tokens: self.count(&text),
            text,
            restore: None,
        }
    }

    /// Tokens of a text; a text that cannot be tokenised is as long as it has bytes.
    fn count(&self, text: &str) -> usize {
        self.tokenizer
            .encode(text, false)
            .map_or(text.len(), |tokens| tokens.len())
    }
}

impl Replacements for Texts<'_> {
    fn tokens_after(&mut self, segment: usize, op: &EditOp) -> Option<usize> {
        self.replacement(segment, op).map(|made| made.tokens)
    }

    fn names_kept(&mut self, segment: usize, op: &EditOp) -> Option<f64> {
        if matches!(op, EditOp::Dedupe { .. }) {
            return Some(1.0);
        }
        let original = &self.division.texts[*self.standing.originals[segment].start()];
        let Made {
            replacements,
            names,
        } = &mut self.made;
        let made = replacements.get(&(segment, op.clone()))?.as_ref()?;
        let names = names.entry(segment);
        let names = names.or_insert_with(|| Particulars::of(original));
        Some(names.share_in(&made.text))
    }

    fn summary_tokens(
        &mut self,
        span: RangeInclusive<usize>,
        level: SummaryLevel,
    ) -> SummaryTokens {
        let segments = self.standing.original(&span);
        match self.summaries.find(&segments, level) {
            Some(written) => SummaryTokens::Written(written.tokens),
            None if self.summaries.may_write(&segments, level) => SummaryTokens::Unwritten,
            None => SummaryTokens::Unavailable,
        }
    }

    fn written(&self) -> Vec<(RangeInclusive<usize>, SummaryLevel)> {
        let written = self.summaries.written().iter();
        let pieces = written.filter_map(|one| {
            let pieces = self.standing.pieces(&one.segments)?;
            Some((pieces, one.level))
        });
        pieces.collect()
    }
}

fn tool(segment: &Segment) -> Option<&str> {
    match &segment.kind {
        SegmentKind::ToolResult { name, .. } => Some(name),
        _ => None,
    }
}
