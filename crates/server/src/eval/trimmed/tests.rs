use super::{Trimmed, numbers};
use crate::eval::generator::{Size, generate};
use crate::eval::trace::{Trace, TraceKind};

fn trace() -> Trace {
    let size = Size {
        tokens: 1_000,
        turns: None,
        sentences: 0,
    };
    generate(TraceKind::ThreeReads, 1, size)
}

fn file(trace: &Trace, turns: usize) -> String {
    let lists = |count: usize| vec!["0,2-3"; count].join(" ");
    serde_json::json!({
        "format": 1,
        "langchain_core": "1.7.2",
        "traces": {trace.fingerprint(): {"400": {
            "turns": lists(turns),
            "questions": lists(trace.facts.len()),
        }}},
    })
    .to_string()
}

#[test]
fn runs_of_numbers_are_read() {
    assert_eq!(numbers("0,3-5,9"), Some(vec![0, 3, 4, 5, 9]));
    assert_eq!(numbers("-"), Some(Vec::new()));
    for wrong in ["", "5-3", "a", "1,,b", "1-", "0-99999999"] {
        assert_eq!(numbers(wrong), None, "{wrong}");
    }
}

#[test]
fn what_stays_is_found_by_episode_and_limit_only() {
    let trace = trace();
    let trimmed: Trimmed = serde_json::from_str(&file(&trace, 4)).unwrap();
    let kept = trimmed.kept(&trace, 400).unwrap();
    assert_eq!(kept.turns, vec![vec![0, 2, 3]; 4]);
    assert_eq!(kept.questions.len(), trace.facts.len());
    assert!(trimmed.kept(&trace, 401).unwrap_err().contains("budgets"));
    let mut other = trace.clone();
    other.messages[1].content.push('.');
    assert!(trimmed.kept(&other, 400).unwrap_err().contains("episodes"));
    let short: Trimmed = serde_json::from_str(&file(&trace, 3)).unwrap();
    assert!(short.kept(&trace, 400).unwrap_err().contains("number"));
}

#[test]
fn a_wrong_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trimmed.json");
    let error = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Trimmed::load(&path).unwrap_err().to_string()
    };
    assert!(error("{}").contains("trimmed.json"));
    let newer = file(&trace(), 4).replace("\"format\":1", "\"format\":2");
    assert!(error(&newer).contains("format is 2"));
    assert!(error(&newer.replace("0,2-3", "3-2")).contains("3-2"));
}
