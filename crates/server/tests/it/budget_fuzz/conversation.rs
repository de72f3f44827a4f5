//! Random conversations of agents and people.

use serde_json::{Value, json};

/// Numbers that look random and are the same every time (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

const WORDS: [&str; 24] = [
    "river",
    "proxy",
    "must",
    "never",
    "port",
    "9017",
    "src/pay/ledger_k3.rs",
    "error",
    "E4471",
    "tests",
    "pass",
    "schema_v7",
    "deploy",
    "at",
    "2031-05-04",
    "the",
    "budget",
    "4,312",
    "EUR",
    "wind",
    "slow",
    "retry",
    "it",
    "says",
];

const TOOLS: [&str; 4] = ["read_file", "list_files", "search", "memory"];

/// A request: messages, tools, a budget and what it asks for.
pub(crate) fn random(random: &mut Random) -> Value {
    let mut messages = Vec::new();
    if random.percent(80) {
        messages.push(json!({"role": "system", "content": text(random, 40)}));
    }
    let mut body = json!({"messages": messages, "max_tokens": 16});
    if random.percent(70) {
        let number = 1 + random.below(TOOLS.len());
        let tools = TOOLS[..number].iter().rev().map(|name| {
            json!({"type": "function", "function": {"name": name, "description": "Does it.",
                "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}})
        });
        body["tools"] = tools.collect();
    }
    for _ in 0..random.below(25) {
        grow(&mut body, random);
    }
    grow(&mut body, random);
    // About two bytes of JSON for each token.
    let about = body["messages"].to_string().len() / 2;
    body["context_budget"] = budget(random, about);
    body
}

/// Adds a turn: what the user says, calls with their results, and an answer but for the last turn.
pub(crate) fn grow(body: &mut Value, random: &mut Random) {
    let has_tools = !body["tools"].is_null();
    let messages = body["messages"].as_array_mut().unwrap();
    if messages.last().is_some_and(|last| last["role"] != "system") {
        let mut answer = json!({"role": "assistant", "content": text(random, 60)});
        note(&mut answer, random);
        messages.push(answer);
    }
    let asked = match random.below(10) {
        0 => format!("<documents>\n{}\n</documents>", text(random, 200)),
        1 => String::new(),
        _ => text(random, 50),
    };
    let mut message = json!({"role": "user", "content": asked});
    note(&mut message, random);
    messages.push(message);
    if !has_tools {
        return;
    }
    for _ in 0..random.below(4) {
        call(messages, random);
    }
}

/// One message with one or two calls, and their results.
fn call(messages: &mut Vec<Value>, random: &mut Random) {
    let number = 1 + usize::from(random.percent(20));
    let ids: Vec<String> = (0..number)
        .map(|at| format!("call_{}_{at}", messages.len()))
        .collect();
    let calls = ids.iter().map(|id| {
        let name = *random.one_of(&TOOLS);
        let arguments = json!({"path": format!("/var/log/{}.log", random.below(5))}).to_string();
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
    });
    let calls: Value = calls.collect();
    messages.push(json!({"role": "assistant", "content": "", "tool_calls": calls}));
    for id in ids {
        let content = result(random);
        let mut message = json!({"role": "tool", "tool_call_id": id, "content": content});
        note(&mut message, random);
        messages.push(message);
    }
}

fn result(random: &mut Random) -> String {
    match random.below(6) {
        // The same text again and again.
        0 => "total 3\nsrc/pay/ledger_k3.rs\nsrc/main.rs\n".repeat(4),
        1 => {
            let rows = 0..random.below(30);
            let rows =
                rows.map(|row| json!({"id": row, "name": random.one_of(&WORDS), "ms": row * 7}));
            Value::from(rows.collect::<Vec<_>>()).to_string()
        }
        2 => text(random, 400),
        3 => String::new(),
        _ => {
            let lines = 1 + random.below(40);
            let lines = (0..lines).map(|line| {
                format!(
                    "{line} {} took {} ms",
                    random.one_of(&WORDS),
                    random.below(90)
                )
            });
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

fn note(message: &mut Value, random: &mut Random) {
    if random.percent(8) {
        message["context"] = match random.below(3) {
            0 => json!({"pin": true}),
            1 => json!({"score": random.below(100) as f64 / 100.0}),
            _ => json!({"tier": "protected"}),
        };
    }
}

fn text(random: &mut Random, longest: usize) -> String {
    let words = 1 + random.below(longest);
    let words: Vec<&str> = (0..words).map(|_| *random.one_of(&WORDS)).collect();
    words.join(" ")
}

fn budget(random: &mut Random, about: usize) -> Value {
    let mut budget = json!({"report": "full"});
    // From too little to more than enough.
    let tokens = 150 + about * (30 + random.below(90)) / 100;
    budget["max_context_tokens"] = tokens.min(8_192).into();
    if random.percent(30) {
        budget["ladder_mode"] = json!("cost");
    }
    if random.percent(30) {
        budget["utilization"] = json!({"high": 0.7, "low": "auto"});
    }
    if random.percent(20) {
        budget["profile"] = json!("agent");
    }
    if random.percent(30) {
        budget["compaction"] = json!({"schedule": "foreground"});
    }
    if random.percent(20) {
        budget["zones"]["tool_outputs"] = json!({"keep": random.below(4)});
    }
    if random.percent(20) {
        budget["zones"]["history"] = json!({"keep_raw_turns": 1 + random.below(4)});
    }
    if random.percent(20) {
        budget["zones"]["stable_prefix"] = json!({"until": {"tokens": random.below(300)}});
    }
    budget
}

/// Texts that no edit may touch: the leading system message, what the user said last, what is
/// pinned or protected.
pub(crate) fn untouchable(body: &Value) -> Vec<String> {
    let messages = body["messages"].as_array().unwrap();
    let last_user = messages
        .iter()
        .rposition(|message| message["role"] == "user");
    let kept = messages.iter().enumerate().filter(|(at, message)| {
        let note = &message["context"];
        (*at == 0 && message["role"] == "system")
            || Some(*at) == last_user
            || note["pin"] == true
            || note["tier"] == "protected"
    });
    let texts = kept.filter_map(|(_, message)| message["content"].as_str());
    texts
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect()
}
