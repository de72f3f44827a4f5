//! Results as a page with tables and charts.

use serde_json::Value;

use super::results::ResultsFile;
use crate::measure::chart::Style;

mod agent;
mod document;
mod percentiles;
mod ttft;

use document::Document;

/// Colours of files that are told apart well.
const COLOURS: [usize; 7] = [7, 6, 4, 3, 2, 5, 8];

/// A file of results on a page.
#[derive(Debug)]
struct Shown<'a> {
    /// `A`, `B` and so on: what charts call it; empty where there is no other.
    letter: String,
    name: &'a str,
    number: usize,
    file: &'a ResultsFile,
}

/// The page of `files`, each with its name.
pub(super) fn render(files: &[(String, ResultsFile)]) -> String {
    let shown: Vec<Shown<'_>> = (0..)
        .zip(files)
        .map(|(number, (name, file))| Shown {
            letter: match files.len() {
                1 => String::new(),
                _ => letter(number),
            },
            name,
            number,
            file,
        })
        .collect();
    let mut page = Document::default();
    let title = match files {
        [(_, file)] => format!("purser bench {}", file.run.benchmark),
        _ => "purser bench".to_owned(),
    };
    page.heading(1, &title);
    for one in &shown {
        head(&mut page, one, files.len() > 1);
    }
    for benchmark in ["ttft", "load", "replay", "agent"] {
        let of_it = shown
            .iter()
            .filter(|one| one.file.run.benchmark == benchmark);
        let of_it: Vec<&Shown<'_>> = of_it.collect();
        if of_it.is_empty() {
            continue;
        }
        if files.len() > 1 {
            page.heading(2, &format!("bench {benchmark}"));
        }
        match benchmark {
            "ttft" => ttft::show(&mut page, &of_it),
            "agent" => {
                agent::show(&mut page, &of_it);
                percentiles::show(&mut page, &of_it);
            }
            _ => percentiles::show(&mut page, &of_it),
        }
    }
    page.finish(&title)
}

impl Shown<'_> {
    fn content(&self) -> &Value {
        &self.file.content
    }

    /// What a chart calls `what` of this file.
    fn label(&self, what: &str) -> String {
        format!("{} {what}", self.letter).trim().to_owned()
    }

    /// The file's colour, with the dash of this number.
    fn style(&self, dash: usize) -> Style {
        Style {
            colour: COLOURS[self.number % COLOURS.len()],
            dash,
        }
    }
}

/// Where, when, of whom and how.
fn head(page: &mut Document, one: &Shown<'_>, is_one_of_many: bool) {
    let run = &one.file.run;
    if is_one_of_many {
        page.heading(2, &format!("{}: {}", one.letter, one.name));
    }
    let content = one.content();
    let machine = &content["machine"];
    let version = match &run.server.version["version"] {
        Value::String(version) => format!(", version {version}"),
        _ => String::new(),
    };
    let of_machine = match machine {
        Value::Null => "not recorded".to_owned(),
        _ => format!(
            "{}, {} threads, {} GiB, {}",
            text(&machine["processor"]),
            text(&machine["hardware_threads"]),
            text(&machine["memory_gib"]),
            text(&machine["system"])
        ),
    };
    let commit = match &content["purser_commit"] {
        Value::String(commit) => format!(", commit {commit}"),
        _ => ", commit not recorded".to_owned(),
    };
    let (base_url, model) = (&run.server.base_url, &run.server.model);
    let mut facts = vec![
        ("server", format!("{base_url}, model {model}{version}")),
        ("measured from", of_machine),
        (
            "measured by",
            format!("purser {}{commit}", text(&content["purser_version"])),
        ),
        ("begun", run.started_at.clone()),
        ("command", run.command.clone()),
    ];
    if !run.complete {
        facts.push((
            "complete",
            "no: it ended before everything was measured".to_owned(),
        ));
    }
    page.facts(&facts);
    let notes = content["notes"].as_array().into_iter().flatten();
    let notes: Vec<String> = notes.map(text).collect();
    page.list(&notes);
}

fn letter(number: usize) -> String {
    let letter = char::from(b'A' + (number % 26) as u8);
    match number / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

/// A value in words.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "n/a".to_owned(),
        other => other.to_string(),
    }
}

/// A number with `digits` behind the point.
fn number(value: &Value, digits: usize) -> String {
    match value.as_f64() {
        Some(number) => format!("{number:.digits$}"),
        None => "n/a".to_owned(),
    }
}

/// A share from 0 to 1 in percent.
fn percent(value: &Value) -> String {
    match value.as_f64() {
        Some(share) => format!("{:.1} %", share * 100.0),
        None => "n/a".to_owned(),
    }
}

#[cfg(test)]
mod tests;
