//! No text makes a summary panic, exceed its cap or differ the second time.

use super::*;
use crate::SummaryLevel;
use crate::critical::critical_tokens;

const PIECES: [&str; 40] = [
    "goal:",
    "constraints:\n",
    "- ",
    "never touch ",
    "must ",
    "port ",
    "8123",
    "9017",
    " changed to ",
    " instead of ",
    "no longer ",
    "now ",
    "src/a_1.rs:3",
    "https://x.y/z",
    "\"quoted\"",
    "\"",
    "`",
    "E4471 ",
    "error ",
    "4,312 EUR",
    "2026-01-02",
    "Zelmira ",
    ". ",
    "? ",
    "! ",
    "\n",
    "。",
    "数据",
    "größe ",
    "🦀",
    "e\u{301}",
    "<think>",
    "</think>",
    "<tool_call>",
    "```",
    "the ",
    "word ",
    " ",
    "Next I ",
    "\u{0}",
];

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn text(&mut self) -> String {
        (0..self.below(40))
            .map(|_| PIECES[self.below(PIECES.len())])
            .collect()
    }
}

#[test]
fn ten_thousand_spans() {
    for seed in 1..=10_000 {
        let mut rng = Rng(seed);
        let texts: Vec<(Speaker, String)> = (0..rng.below(6))
            .map(|_| {
                let speaker = [Speaker::User, Speaker::Assistant, Speaker::Tool][rng.below(3)];
                (speaker, rng.text())
            })
            .collect();
        let span: Vec<SpanPart<'_>> = texts
            .iter()
            .map(|(speaker, text)| SpanPart {
                speaker: *speaker,
                text,
            })
            .collect();
        let later = rng.text();
        let level = SummaryLevel::ALL[rng.below(4)];
        let rule = ExtractRule {
            level,
            max_tokens: rng.below(120),
            recall: 0.95,
        };
        let made = extractive_summary(&span, &later, rule, &count);
        assert_eq!(
            made,
            extractive_summary(&span, &later, rule, &count),
            "seed {seed}"
        );
        let tokens = critical_tokens(&span, &later);
        if let Some(made) = made {
            assert!(made.tokens <= rule.max_tokens, "seed {seed}: {made:?}");
            assert_eq!(made.recall, recall(&tokens, &made.text), "seed {seed}");
            assert!(made.recall >= made.recall_before, "seed {seed}");
            assert_eq!(made.passed, made.recall >= 0.95, "seed {seed}");
        }
        let answer = rng.text();
        if let Some(clean) = clean_summary(&answer, &span, rule.max_tokens, &count) {
            let text = clean.summary.render();
            assert!(count(&text) <= rule.max_tokens, "seed {seed}");
            assert_eq!(SectionedSummary::parse(&text).render(), text, "seed {seed}");
        }
    }
}

#[test]
fn a_long_span_is_summarised_with_bounded_work() {
    let mut rng = Rng(7);
    let text: String = (0..4000)
        .map(|i| format!("Module m_{i} has {} of it. ", rng.below(900)))
        .collect();
    let rule = ExtractRule {
        level: SummaryLevel::Detailed,
        max_tokens: 500,
        recall: 0.95,
    };
    let made = extractive_summary(&[user(&text)], "", rule, &count).unwrap();
    assert!(made.tokens <= 500 && made.found == 256 && !made.passed);
    assert!(made.kept > 20, "{}", made.kept);
}
