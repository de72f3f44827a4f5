//! An answer as blocks: what the model thinks, says and calls, in the order in which it does.

use serde_json::{Value, json};

use super::choice::Part;

/// What a block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// What the model thinks.
    Reasoning,
    /// What it says.
    Text,
    /// A call of the tool of this name; the block's text is the arguments, in JSON.
    Call(String),
}

/// What happens to the blocks of an answer. Only the last one grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockEvent {
    /// A block begins.
    Start(BlockKind),
    /// It goes on.
    Delta(String),
    /// It is complete.
    Stop,
}

/// A complete block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// Its text.
    pub text: String,
}

/// Divides the pieces of an answer into blocks.
///
/// White space between blocks is none: an API that takes blocks refuses empty ones when they come
/// back with the next turn.
#[derive(Clone, Debug, Default)]
pub struct Blocks {
    open: Option<BlockKind>,
    /// White space that a block of text or reasoning may begin with.
    held: Option<(BlockKind, String)>,
}

impl Blocks {
    /// Takes the next piece.
    pub fn push(&mut self, part: Part) -> Vec<BlockEvent> {
        match part {
            Part::Content(text) => self.text(BlockKind::Text, text),
            Part::Reasoning(text) => self.text(BlockKind::Reasoning, text),
            Part::CallStart { name, .. } => {
                let mut events = self.finish();
                let kind = BlockKind::Call(name);
                self.open = Some(kind.clone());
                events.push(BlockEvent::Start(kind));
                events
            }
            Part::ArgumentsDelta { text, .. } => vec![BlockEvent::Delta(text)],
        }
    }

    /// The answer has ended, or a block of another kind begins.
    pub fn finish(&mut self) -> Vec<BlockEvent> {
        self.held = None;
        let stop = self.open.take().map(|_| BlockEvent::Stop);
        stop.into_iter().collect()
    }

    fn text(&mut self, kind: BlockKind, text: String) -> Vec<BlockEvent> {
        if self.open.as_ref() == Some(&kind) {
            return vec![BlockEvent::Delta(text)];
        }
        let before = match self.held.take() {
            Some((held, space)) if held == kind => space,
            _ => String::new(),
        };
        let text = before + &text;
        if text.trim().is_empty() {
            self.held = Some((kind, text));
            return Vec::new();
        }
        let mut events = self.finish();
        self.open = Some(kind.clone());
        events.extend([BlockEvent::Start(kind), BlockEvent::Delta(text)]);
        events
    }
}

impl Block {
    /// The arguments of a call as an object, for APIs that know no other. Arguments that were cut off
    /// are none; what there is of their text stands in `raw_arguments`.
    pub fn arguments(&self) -> Value {
        if self.text.trim().is_empty() {
            return json!({});
        }
        match serde_json::from_str(&self.text) {
            Ok(arguments @ Value::Object(_)) => arguments,
            _ => json!({"raw_arguments": self.text}),
        }
    }

    /// Adds an event to the blocks so far.
    pub fn collect(blocks: &mut Vec<Self>, event: BlockEvent) {
        match (event, blocks.last_mut()) {
            (BlockEvent::Start(kind), _) => blocks.push(Self {
                kind,
                text: String::new(),
            }),
            (BlockEvent::Delta(text), Some(last)) => last.text.push_str(&text),
            (BlockEvent::Delta(_), None) | (BlockEvent::Stop, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(index: usize) -> [Part; 3] {
        let name = format!("tool_{index}");
        let delta = |text: &str| Part::ArgumentsDelta {
            index,
            text: text.to_owned(),
        };
        [
            Part::CallStart { index, name },
            delta("{\"a\""),
            delta(": 1}"),
        ]
    }

    fn content(text: &str) -> Part {
        Part::Content(text.to_owned())
    }

    fn blocks(parts: impl IntoIterator<Item = Part>) -> Vec<(BlockKind, String)> {
        let (mut blocks, mut collected, mut num_open) = (Blocks::default(), Vec::new(), 0);
        let mut events: Vec<BlockEvent> = Vec::new();
        for part in parts {
            events.extend(blocks.push(part));
        }
        events.extend(blocks.finish());
        for event in events {
            num_open += match event {
                BlockEvent::Start(_) => 1,
                BlockEvent::Stop => -1,
                BlockEvent::Delta(_) => 0,
            };
            assert!((0..=1).contains(&num_open), "one block at a time");
            Block::collect(&mut collected, event);
        }
        assert_eq!(num_open, 0);
        let pair = |block: Block| (block.kind, block.text);
        collected.into_iter().map(pair).collect()
    }

    #[test]
    fn blocks_come_in_the_order_of_the_answer() {
        let reasoning = |text: &str| Part::Reasoning(text.to_owned());
        let mut parts = vec![reasoning("Hm"), reasoning(", yes."), content("\n\n")];
        parts.extend([content("I "), content("look.")]);
        parts.extend(call(0));
        parts.push(content("\n"));
        parts.extend(call(1));
        parts.push(content("\n"));
        let arguments = "{\"a\": 1}".to_owned();
        let expected = vec![
            (BlockKind::Reasoning, "Hm, yes.".to_owned()),
            (BlockKind::Text, "\n\nI look.".to_owned()),
            (BlockKind::Call("tool_0".to_owned()), arguments.clone()),
            (BlockKind::Call("tool_1".to_owned()), arguments),
        ];
        assert_eq!(blocks(parts), expected);
    }

    #[test]
    fn arguments_are_an_object() {
        let arguments = |text: &str| {
            let block = Block {
                kind: BlockKind::Call("f".to_owned()),
                text: text.to_owned(),
            };
            block.arguments()
        };
        assert_eq!(arguments("{\"a\": 1}"), json!({"a": 1}));
        assert_eq!(arguments(" "), json!({}));
        for cut in ["{\"a\": ", "[1]", "1"] {
            assert_eq!(arguments(cut), json!({"raw_arguments": cut}));
        }
    }

    #[test]
    fn nothing_and_white_space_are_no_blocks() {
        assert_eq!(blocks([]), []);
        assert_eq!(blocks([content(" "), content("\n")]), []);
        let text = vec![(BlockKind::Text, " \na ".to_owned())];
        assert_eq!(blocks([content(" "), content("\na"), content(" ")]), text);
    }
}
