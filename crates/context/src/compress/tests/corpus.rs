//! Generated tool results of every kind that the levels know, and of some that they do not.

use std::fmt::Write;

/// Xorshift64*: the same numbers for the same seed.
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    pub(super) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const WORDS: [&str; 24] = [
    "ledger", "batch", "queue", "worker", "token", "cache", "block", "render", "session", "index",
    "stream", "packet", "router", "window", "budget", "prefix", "kernel", "tensor", "thread",
    "signal", "buffer", "socket", "config", "schema",
];

/// A name and a text for each kind, of about `lines` lines.
pub(super) fn corpus(seed: u64, lines: usize) -> Vec<(&'static str, String)> {
    let mut rng = Rng(seed | 1);
    vec![
        ("source", source(&mut rng, lines)),
        ("search", search(&mut rng, lines)),
        ("records", records(&mut rng, lines)),
        ("nested", nested(&mut rng, lines)),
        ("json lines", json_lines(&mut rng, lines)),
        ("log", log(&mut rng, lines)),
        ("diff", diff(&mut rng, lines)),
        ("trace", trace(&mut rng, lines)),
        ("html", html(&mut rng, lines)),
        ("csv", csv(&mut rng, lines)),
        ("prose", prose(&mut rng, lines)),
        ("terminal", terminal(&mut rng, lines)),
        ("unicode", unicode(&mut rng, lines)),
        ("one line", prose(&mut rng, lines).replace('\n', " ")),
        ("one word", "x9".repeat(lines * 20)),
        ("noise", noise(&mut rng, lines * 20)),
        (
            "repeats",
            "same line of output\nand another\n".repeat(lines / 2),
        ),
        ("blank", "\n".repeat(lines)),
        ("short", "ok".to_owned()),
        ("empty", String::new()),
    ]
}

pub(super) fn source(rng: &mut Rng, lines: usize) -> String {
    let mut out = String::new();
    for number in 0..lines / 6 {
        let (a, b) = (rng.pick(&WORDS), rng.pick(&WORDS));
        let n = rng.below(900);
        let _ = writeln!(
            out,
            "fn {a}_{b}_{number}(input: &str) -> Option<usize> {{\n    \
             let {a} = input.len() + {n};\n    \
             if {a} > {b}.len() {{\n        return None;\n    }}\n    Some({a})\n}}\n",
        );
    }
    out
}

pub(super) fn search(rng: &mut Rng, lines: usize) -> String {
    let mut out = String::new();
    let mut path = String::new();
    for i in 0..lines {
        if i % 7 == 0 {
            path = format!("crates/{}/src/{}.rs", rng.pick(&WORDS), rng.pick(&WORDS));
        }
        let _ = writeln!(
            out,
            "{path}:{}:    let {} = {};",
            i + 1,
            rng.pick(&WORDS),
            rng.below(99)
        );
    }
    out
}

pub(super) fn records(rng: &mut Rng, lines: usize) -> String {
    let items: Vec<String> = (0..lines)
        .map(|i| {
            let error = if i == lines / 2 {
                "\"E4471 connection refused\""
            } else {
                "null"
            };
            format!(
                "  {{\n    \"id\": {i},\n    \"name\": \"{} {}\",\n    \"price\": {}.50,\n    \
                 \"status\": \"ok\",\n    \"error\": {error}\n  }}",
                rng.pick(&WORDS),
                rng.pick(&WORDS),
                rng.below(500),
            )
        })
        .collect();
    format!("[\n{}\n]", items.join(",\n"))
}

fn nested(rng: &mut Rng, lines: usize) -> String {
    let pages: Vec<String> = (0..3).map(|_| records(rng, lines / 6)).collect();
    format!(
        "{{\"total\": {lines}, \"next\": null, \"query\": {{\"q\": \"a \\\"b\\\" \\u00e9\", \
         \"size\": 1.50e3}}, \"pages\": [{}], \"note\": \"{}\"}}",
        pages.join(", "),
        "long text \\n ".repeat(lines),
    )
}

fn json_lines(rng: &mut Rng, lines: usize) -> String {
    let line = |i: usize, rng: &mut Rng| {
        let level = if i % 40 == 7 { "error" } else { "info" };
        format!(
            "{{\"t\": {i}, \"level\": \"{level}\", \"msg\": \"{} done\"}}\n",
            rng.pick(&WORDS)
        )
    };
    (0..lines).map(|i| line(i, rng)).collect()
}

pub(super) fn log(rng: &mut Rng, lines: usize) -> String {
    let mut out = String::new();
    for i in 0..lines {
        let time = format!(
            "2026-03-04T10:{:02}:{:02}.{:03}Z",
            i / 60 % 60,
            i % 60,
            rng.below(999)
        );
        let _ = match rng.below(20) {
            0 => writeln!(
                out,
                "{time} ERROR worker-{} failed: E{} refused",
                i % 4,
                4000 + i
            ),
            1..=8 => writeln!(
                out,
                "{time} INFO request {} served in {} ms",
                i,
                rng.below(90)
            ),
            _ => writeln!(
                out,
                "{time} INFO cache hit ratio {}.{}",
                rng.below(9),
                rng.below(99)
            ),
        };
    }
    out
}

fn diff(rng: &mut Rng, lines: usize) -> String {
    let mut out = String::new();
    for file in 0..lines / 24 + 1 {
        let name = format!("src/{}_{file}.rs", rng.pick(&WORDS));
        let _ = writeln!(
            out,
            "diff --git a/{name} b/{name}\nindex 1a2b3c{file}..4d5e6f 100644\n\
             --- a/{name}\n+++ b/{name}",
        );
        for hunk in 0..2 {
            let _ = writeln!(
                out,
                "@@ -{0},7 +{0},7 @@ fn {1}()",
                10 + 40 * hunk,
                rng.pick(&WORDS)
            );
            for side in 0..2 {
                for _ in 0..3 {
                    let _ = writeln!(out, "     let {} = {};", rng.pick(&WORDS), rng.below(50));
                }
                if side == 0 {
                    let _ = writeln!(out, "-    old_{}();\n+    new_{}();", hunk, rng.below(99));
                }
            }
        }
    }
    out
}

fn trace(rng: &mut Rng, lines: usize) -> String {
    let mut out = "Traceback (most recent call last):\n".to_owned();
    for i in 0..lines / 2 {
        let _ = writeln!(
            out,
            "  File \"/srv/app/{}/{}.py\", line {}, in {}\n    {}(self)",
            rng.pick(&WORDS),
            rng.pick(&WORDS),
            i + 3,
            rng.pick(&WORDS),
            rng.pick(&WORDS),
        );
    }
    out.push_str("ValueError: E4471 when TLS on\n");
    out
}

fn html(rng: &mut Rng, lines: usize) -> String {
    let mut out = "<!DOCTYPE html>\n<html><head><title>Report</title><style>".to_owned();
    out.push_str(&"a { color: red }\n".repeat(lines / 10));
    out.push_str("</style><script>var x = 1;</script></head><body>\n");
    for i in 0..lines {
        let _ = writeln!(
            out,
            "<div class=\"row item-{i}\" data-id=\"{i}\"><p style=\"x\">{} {}</p></div>",
            rng.pick(&WORDS),
            rng.pick(&WORDS),
        );
    }
    out + "</body></html>"
}

fn csv(rng: &mut Rng, lines: usize) -> String {
    let mut out = "id,name,amount,comment\n".to_owned();
    for i in 0..lines {
        let (a, b) = (rng.pick(&WORDS), rng.pick(&WORDS));
        let _ = writeln!(out, "{i},{a},{}.25,\"{b}, and more\"", rng.below(900));
    }
    out
}

pub(super) fn prose(rng: &mut Rng, lines: usize) -> String {
    let mut out = String::new();
    for _ in 0..lines {
        for _ in 0..8 + rng.below(8) {
            out.push_str(rng.pick(&WORDS));
            out.push(' ');
        }
        out.push_str("as it was said.\n");
    }
    out
}

fn terminal(rng: &mut Rng, lines: usize) -> String {
    let mut out = String::new();
    for i in 0..lines {
        let _ = write!(out, "\u{1b}[32m{}\u{1b}[0m {i}%   \r", rng.pick(&WORDS));
        if i % 9 == 0 {
            out.push_str("\u{1b}]0;title\u{7}done   \r\n\n\n\n");
        }
    }
    out
}

fn unicode(rng: &mut Rng, lines: usize) -> String {
    let parts = [
        "größe ",
        "данные ",
        "数据。",
        "データ",
        "🦀🦀 ",
        "e\u{301} ",
        "\u{202e}abc ",
        "\n",
    ];
    (0..lines * 6).map(|_| rng.pick(&parts)).collect()
}

pub(super) fn noise(rng: &mut Rng, bytes: usize) -> String {
    let bytes: Vec<u8> = (0..bytes).map(|_| rng.next() as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
