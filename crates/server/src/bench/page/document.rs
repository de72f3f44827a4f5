//! An HTML page that needs nothing else: no network, no script, light and dark.

use crate::measure::chart::{Chart, escaped};

/// A page while it is written; everything that it takes is escaped.
#[derive(Debug, Default)]
pub(super) struct Document {
    body: String,
}

const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #222; --dim: #666; --rule: #8884; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --dim: #999; --paper: #16181c; } }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: var(--ink);
       background: var(--paper); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
h3 { font-size: 1rem; margin-top: 1.8rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0.6rem 0; }
th, td { padding: 0.2rem 0.7rem; border-bottom: 1px solid var(--rule); text-align: right; }
th { color: var(--dim); font-weight: 600; }
th:first-child, td:first-child { text-align: left; }
table.facts th { white-space: nowrap; vertical-align: top; }
table.facts td { text-align: left; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; display: block; margin: 0.8rem 0; }
";

impl Document {
    /// A heading of `level` 1 to 3.
    pub(super) fn heading(&mut self, level: u8, text: &str) {
        let text = escaped(text);
        self.body
            .push_str(&format!("<h{level}>{text}</h{level}>\n"));
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        self.body.push_str(&format!("<p>{}</p>\n", escaped(text)));
    }

    pub(super) fn list(&mut self, items: &[String]) {
        if items.is_empty() {
            return;
        }
        let items = items
            .iter()
            .map(|item| format!("<li>{}</li>", escaped(item)));
        let items: Vec<String> = items.collect();
        self.body
            .push_str(&format!("<ul>{}</ul>\n", items.join("\n")));
    }

    /// Names with their values.
    pub(super) fn facts(&mut self, facts: &[(&str, String)]) {
        self.body
            .push_str("<div class=\"scroll\"><table class=\"facts\">\n");
        for (name, value) in facts {
            let (name, value) = (escaped(name), escaped(value));
            self.body
                .push_str(&format!("<tr><th>{name}</th><td>{value}</td></tr>\n"));
        }
        self.body.push_str("</table></div>\n");
    }

    /// A table of numbers under `headings`.
    pub(super) fn table(&mut self, headings: &[&str], rows: &[Vec<String>]) {
        let cells = |name: &str, cells: &mut dyn Iterator<Item = &str>| -> String {
            cells
                .map(|cell| format!("<{name}>{}</{name}>", escaped(cell)))
                .collect()
        };
        let head = cells("th", &mut headings.iter().copied());
        self.body
            .push_str(&format!("<div class=\"scroll\"><table>\n<tr>{head}</tr>\n"));
        for row in rows {
            let row = cells("td", &mut row.iter().map(String::as_str));
            self.body.push_str(&format!("<tr>{row}</tr>\n"));
        }
        self.body.push_str("</table></div>\n");
    }

    pub(super) fn chart(&mut self, chart: &Chart) {
        self.body.push_str(&chart.to_svg());
    }

    /// The page.
    pub(super) fn finish(self, title: &str) -> String {
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
            escaped(title),
            self.body
        )
    }
}
