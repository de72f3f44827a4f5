//! Files and functions that can be taken in at a glance.

/// Lines of a file at most.
pub const MAX_FILE_LINES: usize = 500;
/// Lines of a function at most: a screen.
pub const MAX_FUNCTION_LINES: usize = 70;

/// Complaints about the length of a source file and, outside of tests, of its functions.
///
/// It relies on rustfmt: a function's closing brace has the indentation of its first line.
pub fn check(path: &str, source: &str) -> Vec<String> {
    let lines: Vec<&str> = source.lines().collect();
    let mut complaints = Vec::new();
    if lines.len() > MAX_FILE_LINES {
        complaints.push(format!(
            "{path}: {} lines, at most {MAX_FILE_LINES}: look for the second noun",
            lines.len()
        ));
    }
    if is_test(path) {
        return complaints;
    }
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        if !declares_function(line.trim_start()) {
            continue;
        }
        let end = lines[start..].iter().position(|line| closes(line, indent));
        let length = end.map_or(1, |end| end + 1);
        if length > MAX_FUNCTION_LINES {
            complaints.push(format!(
                "{path}:{}: a function of {length} lines, at most {MAX_FUNCTION_LINES}",
                start + 1
            ));
        }
    }
    complaints
}

/// A test's table of cases is data, however long.
fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

fn declares_function(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words
        .find(|word| {
            let qualifies = ["const", "async", "unsafe", "extern", "\"C\"", "default"];
            !(word.starts_with("pub") || qualifies.contains(word) || word.starts_with("in"))
        })
        .is_some_and(|word| word == "fn")
}

/// Whether a function that starts at `indent` ends on this line, with or without a body.
fn closes(line: &str, indent: usize) -> bool {
    let found = line.len() - line.trim_start().len();
    let text = line.trim();
    found == indent && (text.starts_with('}') || text.ends_with(';') || text.ends_with('}'))
}
