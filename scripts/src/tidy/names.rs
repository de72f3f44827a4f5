//! Names and constructs that the project does without, each with what to do instead.

/// File and folder names that say nothing about what is inside.
const VAGUE: [&str; 7] = [
    "util", "utils", "helper", "helpers", "common", "misc", "manager",
];

/// Text that may not stand in Rust sources, and why.
const BANNED: [(&str, &str); 7] = [
    (
        "#[allow(",
        "use #[expect(.., reason = \"..\")]: it complains once it is no longer needed",
    ),
    (
        "#![allow(",
        "use #![expect(.., reason = \"..\")]: it complains once it is no longer needed",
    ),
    ("#[ignore", "a test that does not run proves nothing"),
    (
        "#[should_panic",
        "assert on a returned error, or catch the panic around one call",
    ),
    (
        "TODO",
        "finish it, or write down what is missing in CHANGELOG.md",
    ),
    (
        "FIXME",
        "mend it, or write down what is missing in CHANGELOG.md",
    ),
    ("todo!(", "finish it"),
];

/// Complaints about the names in `path`.
pub fn check_path(path: &str) -> Vec<String> {
    let vague = path
        .split('/')
        .map(|part| part.split('.').next().unwrap_or(part));
    vague
        .filter(|stem| VAGUE.contains(stem))
        .map(|stem| format!("{path}: \"{stem}\" names no thing; name the file after its noun"))
        .collect()
}

/// Complaints about banned text in `source`.
pub fn check_source(path: &str, source: &str) -> Vec<String> {
    if path == "scripts/src/tidy/names.rs" || path.starts_with("scripts/tests/") {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for (index, line) in source.lines().enumerate() {
        for (text, instead) in BANNED {
            if line.contains(text) {
                complaints.push(format!("{path}:{}: \"{text}\": {instead}", index + 1));
            }
        }
    }
    complaints
}
