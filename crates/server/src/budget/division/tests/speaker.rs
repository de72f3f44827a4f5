//! Random conversations in both shapes.

use serde_json::{Value, json};

/// Says random things; the same for the same seed.
pub(super) struct Speaker {
    state: u64,
}

/// A conversation in Anthropic's shape, and the same in OpenAI's, written by hand.
pub(super) struct Said {
    pub(super) anthropic: Value,
    pub(super) openai: Value,
}

/// What templates could take for something else, beside what nobody could.
const WORDS: [&str; 24] = [
    "ledger",
    "the fee",
    "is 7%",
    "\n\n",
    "  ",
    "café",
    "漢字",
    "😀",
    "{{ braces }}",
    "{\"json\": [1, 2]}",
    "\"quoted\"",
    "it's",
    "back\\slash",
    "<b>bold</b>",
    "\t",
    "go on",
    "go on",
    "src/pay/fee.rs",
    "0",
    "[INST]",
    "&amp;",
    "one\ntwo",
    "qZ0kb1x0Z",
    "}",
];

impl Speaker {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 33) as usize % end
    }

    fn text(&mut self) -> String {
        let words: Vec<&str> = (0..1 + self.below(5))
            .map(|_| WORDS[self.below(WORDS.len())])
            .collect();
        let text = words.join(" ");
        match self.below(12) {
            0 => format!("<tool_response>\n{text}\n</tool_response>"),
            1 => format!("<documents>{text}</documents>"),
            _ if text.trim().is_empty() => format!("x{text}"),
            _ => text,
        }
    }

    /// What a user says: a text or several.
    fn asked(&mut self) -> Value {
        let part = |text: String| json!({"type": "text", "text": text});
        match self.below(4) {
            0 => (0..2 + self.below(2)).map(|_| part(self.text())).collect(),
            1 => json!([part(self.text())]),
            _ => Value::from(self.text()),
        }
    }

    /// A conversation that ends with a user or a tool.
    pub(super) fn conversation(&mut self) -> Said {
        let mut said = Said {
            anthropic: json!({"messages": []}),
            openai: json!({"messages": []}),
        };
        if self.below(2) == 0 {
            let rule = json!({"role": "system", "content": self.text()});
            said.push(rule.clone(), vec![rule]);
        }
        if self.below(2) == 0 {
            self.offer(&mut said);
        }
        for turn in 0..1 + self.below(4) {
            let asked = json!({"role": "user", "content": self.asked()});
            said.push(asked.clone(), vec![asked]);
            for step in 0..self.below(3) {
                self.call(&mut said, turn * 10 + step);
            }
            let text = self.text();
            let mut blocks = vec![json!({"type": "text", "text": text})];
            let mut message = json!({"role": "assistant", "content": text});
            if self.below(3) == 0 {
                self.think(&mut blocks, &mut message);
            }
            let answer = json!({"role": "assistant", "content": blocks});
            said.push(answer, vec![message]);
        }
        match self.below(3) {
            0 => self.call(&mut said, 90),
            _ => {
                let asked = json!({"role": "user", "content": self.asked()});
                said.push(asked.clone(), vec![asked]);
            }
        }
        said
    }

    fn offer(&mut self, said: &mut Said) {
        for name in ["look_up", "read"].into_iter().take(1 + self.below(2)) {
            let schema = json!({"type": "object", "required": ["at"], "properties":
                {"at": {"type": "string", "description": self.text()}}});
            let description = self.text();
            said.tool(
                json!({"name": name, "description": description, "input_schema": schema}),
                json!({"type": "function", "function": {"name": name,
                    "description": description, "parameters": schema}}),
            );
        }
    }

    fn think(&mut self, blocks: &mut Vec<Value>, message: &mut Value) {
        let thought = self.text();
        blocks.insert(0, json!({"type": "thinking", "thinking": thought}));
        message["reasoning_content"] = Value::from(thought);
    }

    /// A call, or two at once, and their results.
    fn call(&mut self, said: &mut Said, number: usize) {
        let (mut blocks, mut calls) = (Vec::new(), Vec::new());
        let (mut results, mut messages) = (Vec::new(), Vec::new());
        for call in 0..1 + usize::from(self.below(4) == 0) {
            let id = format!("call{number:03}x{call}");
            let name = ["look_up", "read"][self.below(2)];
            let input =
                json!({"at": self.text(), "n": self.below(9), "deep": {"a": [self.text()]}});
            blocks.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
            let function = json!({"name": name, "arguments": input.to_string()});
            calls.push(json!({"id": id, "type": "function", "function": function}));
            let text = self.text();
            results.push(json!({"type": "tool_result", "tool_use_id": id, "content": text}));
            messages.push(json!({"role": "tool", "tool_call_id": id, "content": text}));
        }
        let mut message = json!({"role": "assistant", "content": null});
        if self.below(3) == 0 {
            self.think(&mut blocks, &mut message);
        }
        message["tool_calls"] = Value::Array(calls);
        said.push(
            json!({"role": "assistant", "content": blocks}),
            vec![message],
        );
        said.push(json!({"role": "user", "content": results}), messages);
    }
}

impl Said {
    fn push(&mut self, block: Value, messages: Vec<Value>) {
        self.anthropic["messages"]
            .as_array_mut()
            .unwrap()
            .push(block);
        self.openai["messages"]
            .as_array_mut()
            .unwrap()
            .extend(messages);
    }

    fn tool(&mut self, anthropic: Value, openai: Value) {
        for (body, tool) in [(&mut self.anthropic, anthropic), (&mut self.openai, openai)] {
            match body["tools"].as_array_mut() {
                Some(tools) => tools.push(tool),
                None => body["tools"] = json!([tool]),
            }
        }
    }
}
