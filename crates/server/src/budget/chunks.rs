//! Cutting a conversation that does not fit into requests that do.

use std::ops::Range;

use serde_json::Value;

use super::draft::{Draft, DraftInput};
use crate::prompt;
use crate::validate::chat::Conversation;
use crate::wire::context_report::ChunkReport;

/// Why a conversation cannot be cut.
pub(super) enum Uncut {
    /// These messages belong together, and have so many tokens with what every chunk needs.
    TooLong(ChunkReport),
    /// There is nothing to cut, or a chunk cannot be rendered.
    Refused,
}

/// Ranges of messages that fit into `room` tokens each, together with the leading system messages,
/// the tools and what the template writes. They follow each other; whole turns stay together where
/// they fit, and a call always stays with its results.
pub(super) fn chunks(draft: &Draft, room: usize) -> Result<Vec<ChunkReport>, Uncut> {
    let cutter = Cutter::new(draft);
    if cutter.leading == cutter.messages.len() {
        return Err(Uncut::Refused);
    }
    let mut chunks: Vec<ChunkReport> = Vec::new();
    let mut start = cutter.leading;
    while let Some(first) = cutter.cuts.iter().position(|&cut| cut > start) {
        let mut cut = cutter.furthest(start, first, room);
        let chunk = loop {
            let chunk = cutter.chunk(start..cutter.cuts[cut])?;
            if chunk.tokens <= room {
                break chunk;
            }
            if cut == first {
                return Err(Uncut::TooLong(chunk));
            }
            cut -= 1;
        };
        start = cutter.cuts[cut];
        chunks.push(chunk);
    }
    Ok(chunks)
}

struct Cutter<'a> {
    input: &'a DraftInput,
    messages: &'a [Value],
    /// Everything but the messages.
    rest: Conversation,
    /// Position of each message in the whole prompt, and at last the prompt's length.
    starts: Vec<usize>,
    /// Messages at the beginning that every chunk repeats.
    leading: usize,
    /// Where a chunk may end: between messages of the request, but not before a tool's result; and
    /// at the end.
    cuts: Vec<usize>,
}

impl<'a> Cutter<'a> {
    fn new(draft: &'a Draft) -> Self {
        let messages = &draft.input.conversation.messages;
        let is_system = |at: usize| matches!(role(draft, at), "system" | "developer");
        let leading = (0..messages.len()).take_while(|&at| is_system(at)).count();
        let origin = |at: usize| draft.input.conversation.notes.origin(at);
        let is_cut = |at: &usize| {
            let is_result = matches!(role(draft, *at), "tool" | "function");
            !is_result && origin(*at) != origin(*at - 1)
        };
        let between = (leading + 1..messages.len()).filter(is_cut);
        let start = |at| origin(at).map_or(0, |origin| draft.division.message_starts[origin]);
        let mut starts: Vec<usize> = (0..messages.len()).map(start).collect();
        starts.push(draft.division.tokens.len());
        Self {
            input: &draft.input,
            messages,
            rest: Conversation {
                messages: Vec::new(),
                ..draft.input.conversation.clone()
            },
            starts,
            leading,
            cuts: between.chain([messages.len()]).collect(),
        }
    }

    /// The number of the furthest cut up to which messages from `start` on seem to fit, from the
    /// cut numbered `first` on; before a turn if one ends in between.
    fn furthest(&self, start: usize, first: usize, room: usize) -> usize {
        let fits = |cut: &usize| {
            let own = self.starts[self.cuts[*cut]].saturating_sub(self.starts[start]);
            self.starts[self.leading] + own <= room
        };
        let ends_turn = |cut: &usize| {
            let message = self.messages.get(self.cuts[*cut]);
            message.is_none_or(|message| message["role"] == "user")
        };
        let fitting: Vec<usize> = (first..self.cuts.len()).take_while(fits).collect();
        let whole = fitting.iter().rev().find(|cut| ends_turn(cut));
        *whole.or(fitting.last()).unwrap_or(&first)
    }

    /// The chunk of these messages, counted in a prompt of its own.
    fn chunk(&self, messages: Range<usize>) -> Result<ChunkReport, Uncut> {
        let leading = self.messages[..self.leading].iter();
        let own = &self.messages[messages.clone()];
        let conversation = Conversation {
            messages: leading.chain(own).cloned().collect(),
            ..self.rest.clone()
        };
        let text = prompt::render(&self.input.model, &conversation, self.input.now);
        let special = conversation.add_special_tokens;
        let tokens = text
            .and_then(|text| prompt::encode(&self.input.model, "messages", &text, special))
            .map_err(|_| Uncut::Refused)?;
        // Only system prompts stand outside of the request's messages, and they lead.
        let number = |at| self.rest.notes.origin(at).unwrap_or(at);
        Ok(ChunkReport {
            messages: [number(messages.start), number(messages.end - 1)],
            tokens: tokens.len(),
        })
    }
}

fn role(draft: &Draft, message: usize) -> &str {
    let message = &draft.input.conversation.messages[message];
    message["role"].as_str().unwrap_or_default()
}
