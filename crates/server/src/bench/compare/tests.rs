use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{CompareArgs, run};

/// A file of results with `times` as TTFT of requests; -1 is a failure, less is in flight.
fn load(folder: &TempDir, name: &str, times: &[f64], input_len: u32) -> PathBuf {
    let request = |&ttft: &f64| match ttft < 0.0 {
        true if ttft < -1.0 => json!({"index": 0, "in_flight_ms": -ttft}),
        true => json!({"index": 0, "status": 500, "error": "no"}),
        false => {
            json!({"index": 0, "ttft_ms": ttft, "e2el_ms": 3.0 * ttft, "tpot_ms": null, "itl_ms": []})
        }
    };
    write(
        folder,
        name,
        "load",
        &json!({
            "settings": {"input_len": input_len, "num_prompts": times.len()},
            "requests": times.iter().map(request).collect::<Vec<_>>(),
        }),
    )
}

fn ttft(folder: &TempDir, name: &str, rates: &[(f64, f64)]) -> PathBuf {
    let measurement = |(rate, ms): &(f64, f64)| json!({"hit_rate_asked": rate, "ttft_ms": ms});
    write(
        folder,
        name,
        "ttft",
        &json!({
            "settings": {},
            "measurements": rates.iter().map(measurement).collect::<Vec<_>>(),
        }),
    )
}

fn write(folder: &TempDir, name: &str, benchmark: &str, content: &Value) -> PathBuf {
    let mut file = json!({
        "benchmark": benchmark,
        "started_at": "2026-11-22T12:00:00Z",
        "command": "purser bench",
        "complete": true,
        "server": {"base_url": "http://127.0.0.1:8000", "model": "m", "version": {"version": "1"}},
    });
    file.as_object_mut()
        .unwrap()
        .extend(content.as_object().unwrap().clone());
    let path = folder.path().join(name);
    fs::write(&path, file.to_string()).unwrap();
    path
}

fn compare(baseline: &Path, candidate: &Path, json: bool) -> Result<String, String> {
    let args = CompareArgs {
        baseline: baseline.to_owned(),
        candidate: candidate.to_owned(),
        json,
    };
    let mut out = Vec::new();
    run(&args, &mut out).map_err(|error| format!("{error:#}"))?;
    Ok(String::from_utf8(out).unwrap())
}

/// 40 numbers within a tenth of `middle`.
fn around(middle: f64) -> Vec<f64> {
    (0..40)
        .map(|i| middle * (0.95 + 0.1 * f64::from(i % 10) / 9.0))
        .collect()
}

#[test]
fn what_is_faster_is_said_to_be_and_what_is_alike_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let slow = load(&folder, "a.json", &around(200.0), 512);
    let fast = load(&folder, "b.json", &around(100.0), 512);
    let text = compare(&slow, &fast, false).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("TTFT p50"))
        .unwrap();
    assert!(
        line.contains(" 0.500 ") && line.ends_with("faster"),
        "{text}"
    );
    let text = compare(&fast, &slow, false).unwrap();
    assert!(text.contains("2.000") && text.contains("slower"), "{text}");
    let text = compare(&slow, &slow, false).unwrap();
    assert!(
        text.contains("no difference shown") && !text.contains("faster"),
        "{text}"
    );
    assert!(!text.contains("note:") && !text.contains("ITL"), "{text}");
}

#[test]
fn what_makes_runs_incomparable_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let a = load(&folder, "a.json", &around(200.0), 512);
    let b = load(&folder, "b.json", &[100.0, -1.0, 120.0, -1.0, -9.0], 64);
    let json: Value = serde_json::from_str(&compare(&a, &b, true).unwrap()).unwrap();
    let notes = json["notes"].to_string();
    for note in [
        "B: 2 requests failed",
        "B: 1 requests were in flight",
        "input_len differs: 512 and 64",
        "fewer than 20",
    ] {
        assert!(notes.contains(note), "{notes}");
    }
    assert_eq!(json["rows"][0]["n"], json!([40, 2]));
    assert_eq!(json["rows"][0]["b"], 110.0);
}

#[test]
fn hit_rates_are_compared_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let a = ttft(
        &folder,
        "a.json",
        &[(0.0, 100.0), (99.5, 10.0), (0.0, 120.0), (50.0, 60.0)],
    );
    let b = ttft(&folder, "b.json", &[(99.5, 5.0), (0.0, 55.0)]);
    let json: Value = serde_json::from_str(&compare(&a, &b, true).unwrap()).unwrap();
    let rows = json["rows"].as_array().unwrap();
    let of = |row: &Value| {
        (
            row["metric"].as_str().unwrap().to_owned(),
            row["ratio"]["ratio"].clone(),
        )
    };
    let rows: Vec<_> = rows.iter().map(of).collect();
    let want = [
        ("TTFT at 0 % hits p50", 0.5),
        ("TTFT at 99.5 % hits p50", 0.5),
    ];
    assert_eq!(
        rows,
        want.map(|(metric, ratio)| (metric.to_owned(), json!(ratio)))
    );
}

#[test]
fn other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let a = load(&folder, "a.json", &around(1.0), 1);
    let b = ttft(&folder, "b.json", &[(0.0, 1.0)]);
    let error = compare(&a, &b, false).unwrap_err();
    assert!(
        error.contains("bench load") && error.contains("bench ttft"),
        "{error}"
    );
    let none = load(&folder, "none.json", &[-1.0], 1);
    assert!(
        compare(&none, &a, false)
            .unwrap_err()
            .contains("nothing in common")
    );
    let text = folder.path().join("text.json");
    fs::write(&text, "{}").unwrap();
    assert!(
        compare(&a, &text, false)
            .unwrap_err()
            .contains("no results")
    );
    let missing = folder.path().join("missing.json");
    assert!(
        compare(&missing, &a, false)
            .unwrap_err()
            .contains("cannot read")
    );
}
