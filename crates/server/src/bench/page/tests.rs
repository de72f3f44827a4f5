use serde_json::{Value, json};

use super::{letter, render};
use crate::bench::results::ResultsFile;

fn file(benchmark: &str, content: &Value) -> (String, ResultsFile) {
    let mut file = json!({
        "benchmark": benchmark,
        "purser_version": "1.2.3",
        "purser_commit": "abc123",
        "machine": {"processor": "Z80", "hardware_threads": 1, "memory_gib": 0.1, "system": "CP/M"},
        "started_at": "2026-11-22T12:00:00Z",
        "command": "purser bench --model '<b>&co'",
        "complete": true,
        "server": {"base_url": "127.0.0.1", "model": "<b>&co", "version": {"version": "9"}},
        "settings": {},
        "notes": ["a < b"],
    });
    file.as_object_mut()
        .unwrap()
        .extend(content.as_object().unwrap().clone());
    (format!("{benchmark}.json"), ResultsFile::of(file).unwrap())
}

/// Requests that answer after `ttft`, at `rate` tokens per second.
fn load(ttft: &[f64], rate: f64) -> (String, ResultsFile) {
    let request = |ttft: &f64| json!({"ttft_ms": ttft, "e2el_ms": 2.0 * ttft, "itl_ms": []});
    let spread = json!({"n": ttft.len(), "p50": ttft[0], "p99": ttft[0] * 2.0});
    file(
        "load",
        &json!({
            "requests": ttft.iter().map(request).collect::<Vec<_>>(),
            "summary": {
                "completed": ttft.len(), "failed": 0, "in_flight_at_interrupt": 3,
                "output_throughput": rate, "ttft_ms": spread,
                "cached_tokens": 30, "input_tokens": 40,
            },
        }),
    )
}

fn ttft() -> (String, ResultsFile) {
    let measurement = |rate: f64, ms: f64| {
        json!({"hit_rate_asked": rate, "hit_rate_observed": rate, "ttft_ms": ms,
               "prompt_tokens": 1000})
    };
    file(
        "ttft",
        &json!({
            "measurements": [measurement(0.0, 100.0), measurement(50.0, 60.0)],
            "summary": [{"hit_rate_asked": 50.0, "n": 1, "p50_ms": 60.0}],
            "line": {"fixed_ms": 21.0, "ms_per_token": 0.09, "r_squared": 0.9},
            "line_of_medians": {"fixed_ms": 20.0, "ms_per_token": 0.08, "r_squared": 1.0},
        }),
    )
}

fn agent() -> (String, ResultsFile) {
    let turn = |turn: u32, prompt: f64, cached: f64, reusable: Option<f64>| {
        json!({"turn": turn, "n": 2, "prompt_tokens": prompt, "cached_tokens": cached,
               "reusable_tokens": reusable, "cached_share": cached / prompt, "prefix_losses": 0,
               "ttft_ms": {"p50": 7.0, "p90": 9.0}})
    };
    file(
        "agent",
        &json!({
            "requests": [{"ttft_ms": 7.0, "e2el_ms": 8.0, "itl_ms": [1.0]}],
            "summary": {},
            "turns": [turn(1, 100.0, 0.0, None), turn(2, 200.0, 80.0, Some(110.0))],
            "reuse": {"reusable_tokens": 110, "reused_share": 0.727},
            "agents": [{"agent": 1, "end": "finished"},
                       {"agent": 2, "end": "context_full", "turn": 3, "says": "too <long>"}],
        }),
    )
}

#[test]
fn a_page_needs_nothing_else_and_escapes_everything() {
    let page = render(&[ttft(), load(&[5.0, 6.0], 10.0), load(&[9.0], 20.0), agent()]);
    assert_eq!(page.matches("http").count(), page.matches("<svg").count());
    assert_eq!(
        page.matches("http").count(),
        page.matches("http://www.w3.org/2000/svg").count()
    );
    for nothing in [
        "<script", "src=", "href=", "@import", "url(", "<b>", "<long>", "NaN", "inf",
    ] {
        assert!(!page.contains(nothing), "{nothing}");
    }
    assert!(page.contains("&lt;b&gt;&amp;co") && page.contains("a &lt; b"));
    assert!(page.contains("prefers-color-scheme: dark"));
    assert!(page.contains("Z80, 1 threads, 0.1 GiB, CP/M"));
    assert!(page.contains("purser 1.2.3, commit abc123"));
    for name in [
        "A: ttft.json",
        "B: load.json",
        "C: load.json",
        "D: agent.json",
    ] {
        assert!(page.contains(name), "{name}");
    }
}

#[test]
fn ttft_has_its_points_and_the_line() {
    let page = render(&[ttft()]);
    assert!(page.contains("TTFT = 20.00 ms + 0.0800 ms per uncached token, R² 1.000"));
    assert!(page.contains("<td>50.0 %</td>") && page.contains("<td>60.00</td>"));
    // The axis ends at 100 ms. x: 62 + 50 % of 528 = 326; y: 384 - 60 % of 340 = 180.
    assert!(page.contains("<circle cx=\"326.0\" cy=\"180.0\""), "{page}");
    // Nothing cached: 20 + 0.08 * 1000 = 100 ms; all cached: 20 ms.
    assert!(
        page.contains("points=\"62.0,44.0 ") && page.contains(" 590.0,316.0\""),
        "{page}"
    );
}

#[test]
fn load_has_percentiles_and_throughput_against_latency_of_several() {
    let one = render(&[load(&[10.0, 20.0], 10.0)]);
    assert!(one.contains("TTFT by percentile") && one.contains("E2EL by percentile"));
    assert!(!one.contains("ITL by percentile") && !one.contains("against throughput"));
    // In flight, and 30 of 40 tokens cached.
    assert!(one.contains("<td>3</td>") && one.contains("<td>75.0 %</td>"));
    // Half of the requests took no longer than 15 ms; the axis ends at 20.
    assert!(one.contains("326.0,129.0"), "{one}");
    let two = render(&[load(&[10.0], 50.0), load(&[4.0], 20.0)]);
    assert!(two.contains("TTFT against throughput"));
    // p50 by rising throughput: (20, 4) and (50, 10) on axes up to 50 and 20.
    assert!(two.contains("points=\"273.2,316.0 590.0,214.0\""), "{two}");
}

#[test]
fn agents_are_shown_turn_by_turn() {
    let page = render(&[agent()]);
    // 80 of 200 tokens were cached: turn 2 of 2 lies at the right end, 40 % at 384 - 136 = 248.
    assert!(page.contains("<circle cx=\"590.0\" cy=\"248.0\""), "{page}");
    assert!(page.contains("<td>40.0 %</td>") && page.contains("<td>72.7 %</td>"));
    assert!(page.contains("agent 1: finished"));
    assert!(page.contains("agent 2: context_full at turn 3: too &lt;long&gt;"));
}

#[test]
fn files_have_letters_of_their_own() {
    assert_eq!([0, 25, 26, 53].map(letter), ["A", "Z", "A1", "B2"]);
}
