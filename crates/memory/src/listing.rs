//! What the model reads when it looks at its memory.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::MemoryPath;

/// Lines `first` to `last` of a file, counted from 1, with their numbers.
pub(crate) fn numbered(path: &MemoryPath, text: &str, first: usize, last: usize) -> String {
    let mut shown = format!("Content of {path} with line numbers:\n");
    let lines = text
        .lines()
        .enumerate()
        .skip(first - 1)
        .take(last + 1 - first);
    for (index, line) in lines {
        line_into(&mut shown, index + 1, line);
    }
    shown
}

/// The lines `first` to `last`, a few before and after them, with their numbers.
pub(crate) fn excerpt(text: &str, first: usize, last: usize) -> String {
    const AROUND: usize = 3;
    let mut shown = String::new();
    for (index, line) in text.lines().enumerate() {
        if (first.saturating_sub(AROUND)..=last + AROUND).contains(&(index + 1)) {
            line_into(&mut shown, index + 1, line);
        }
    }
    shown
}

/// Two levels of a folder with sizes; what is hidden and `node_modules` is left out, as the tool's
/// description tells the model. `files` are all in the folder: paths below `/memories/`, and sizes.
pub(crate) fn folder(path: &MemoryPath, files: &[(String, u64)]) -> String {
    let skip = if path.is_root() {
        0
    } else {
        path.below().len() + 1
    };
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    for (file, size) in files {
        let components: Vec<&str> = file[skip..].split('/').collect();
        let mut shown = path.to_string();
        for (depth, component) in components.iter().take(2).enumerate() {
            if component.starts_with('.') || *component == "node_modules" {
                break;
            }
            shown.push('/');
            shown.push_str(component);
            let is_file = depth + 1 == components.len();
            let name = if is_file {
                shown.clone()
            } else {
                format!("{shown}/")
            };
            *sizes.entry(name).or_default() += size;
        }
    }
    let all: u64 = files.iter().map(|(_, size)| size).sum();
    let mut listing = format!(
        "Files and folders in {path}, up to 2 levels deep, without hidden items and \
         node_modules:\n{}\t{path}\n",
        human(all)
    );
    for (name, size) in sizes {
        writeln!(listing, "{}\t{name}", human(size)).expect("writing to a string does not fail");
    }
    listing
}

fn line_into(shown: &mut String, number: usize, line: &str) {
    writeln!(shown, "{number:>6}\t{line}").expect("writing to a string does not fail");
}

/// A size in bytes, KiB or MiB.
fn human(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes}B"),
        1024..0x10_0000 => format!("{:.1}K", bytes as f64 / 1024.0),
        _ => format!("{:.1}M", bytes as f64 / f64::from(1 << 20)),
    }
}
