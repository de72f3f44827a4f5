use std::time::Duration;

use serde_json::json;

use super::{Hits, of_trace};
use crate::bench::endpoint::Endpoint;
use crate::bench::replay::format::Format;
use crate::bench::replay::trace::{Prompt, Recorded, Trace};

fn hits(prompts: Vec<Prompt>, order: &[usize]) -> Vec<(u64, u64)> {
    let recorded = |prompt| Recorded {
        place: String::new(),
        at: Duration::ZERO,
        follows: None,
        prompt,
        output_len: None,
    };
    let trace = Trace {
        format: Format::Mooncake,
        requests: prompts.into_iter().map(recorded).collect(),
        notes: Vec::new(),
    };
    let hits = of_trace(&trace, order, 512);
    hits.iter().map(|hits| (hits.seen, hits.all)).collect()
}

fn blocks(ids: &[u64], tokens: u32) -> Prompt {
    Prompt::Blocks {
        ids: ids.to_vec(),
        tokens,
    }
}

#[test]
fn blocks_count_while_they_are_a_prefix() {
    let prompts = || {
        vec![
            blocks(&[1, 2, 3], 1200),
            // Two blocks of 512, then one of its own.
            blocks(&[1, 2, 4], 1100),
            // 3 was there, but not behind this beginning.
            blocks(&[5, 3], 600),
            // All of it, the last block with its 176 tokens.
            blocks(&[1, 2, 3], 1200),
        ]
    };
    let expected = [(0, 1200), (1024, 1100), (0, 600), (1200, 1200)];
    assert_eq!(hits(prompts(), &[0, 1, 2, 3]), expected);
    // Who comes first finds nothing.
    assert_eq!(hits(prompts(), &[3, 2, 1, 0])[3], (0, 1200));
    let sum = Hits::sum([Hits { seen: 1, all: 3 }, Hits { seen: 2, all: 3 }]);
    assert_eq!(sum.rate(), Some(0.5));
    assert_eq!(Hits::default().rate(), None);
}

#[test]
fn texts_count_in_blocks_of_bytes() {
    let body = |prompt: &str| Prompt::Body {
        endpoint: Endpoint::Completions,
        body: json!({"prompt": prompt}),
    };
    let common = "x".repeat(130);
    let prompts = vec![
        body(&format!("{common}a")),
        body(&format!("{common}b")),
        body(&format!("y{common}")),
    ];
    // Two blocks of 64 bytes, and a beginning of its own.
    assert_eq!(hits(prompts, &[0, 1, 2]), [(0, 131), (128, 131), (0, 131)]);
}
