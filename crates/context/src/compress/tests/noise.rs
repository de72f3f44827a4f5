//! No text makes a level panic.

use super::*;

/// A piece of something that a level looks for, or noise.
fn piece(rng: &mut Rng) -> String {
    let parts = [
        "[",
        "]",
        "{",
        "}",
        "\"",
        ":",
        ",",
        "\\",
        "\\u",
        "\\ud83d\\ude00",
        "null",
        "-1.5e3",
        " ",
        "\n",
        "\r",
        "\r\n",
        "\u{1b}[",
        "\u{1b}]",
        "\u{7}",
        "31m",
        "diff --git a b",
        "--- a\n+++ b\n@@ -1 +1 @@\n",
        "+x\n",
        "-y\n",
        " z\n",
        "a.rs:12:",
        "error",
        "é",
        "数",
        "🦀",
        "<div>",
        "</div>",
        "<script>",
        "[... 3 lines left out]",
        "[the line above again, x3]",
        "[3 lines as from line 9 on]",
        "a,b,c\n",
        "{\"columns\":[1],\"rows\":[[2]]}",
        "word ",
        "2026-01-02",
        "\t",
        "\u{0}",
        "fn f(",
        "# h\n",
    ];
    match rng.below(12) {
        0 => {
            let length = rng.below(40);
            corpus::noise(rng, length)
        }
        1 => rng.pick(&parts).repeat(rng.below(60)),
        _ => rng.pick(&parts).to_owned(),
    }
}

#[test]
fn ten_thousand_texts() {
    for seed in 1..=10_000 {
        let mut rng = Rng(seed);
        let text: String = (0..rng.below(60)).map(|_| piece(&mut rng)).collect();
        let focus = Focus::new(&piece(&mut rng));
        let mut before = count(&text);
        for level in shrink_all(&text, &focus, &count).into_iter().flatten() {
            assert!(level.tokens <= before, "seed {seed}");
            before = level.tokens;
        }
        let room = rng.below(60);
        if let Some(fitted) = fit(&text, room, &focus, &count) {
            assert!(fitted.tokens <= room, "seed {seed}");
        }
    }
}

#[test]
fn every_prefix_of_every_kind() {
    for (name, text) in corpus(31, 12) {
        for (end, _) in text.char_indices().step_by(7) {
            let text = &text[..end];
            let last = shrink(text, Level::HeadTail, &none(), &str::len);
            assert!(
                last.is_none_or(|(_, length)| length < end),
                "{name} to {end}"
            );
        }
    }
}
