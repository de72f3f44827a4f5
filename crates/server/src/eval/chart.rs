//! Line charts as SVG files that need nothing else and are readable on light and dark background.

use std::fmt::Write;

/// A chart with y from 0 to 100 percent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x_label: String,
    pub(super) y_label: String,
    /// From, to.
    pub(super) x_range: (f64, f64),
    pub(super) x_ticks: Vec<(f64, String)>,
    pub(super) series: Vec<Series>,
}

/// A line with its points.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
    /// A level rather than points that belong to x: drawn across the whole chart.
    pub(super) level: bool,
}

/// A point with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    /// Percent.
    pub(super) y: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 170.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 56.0;
/// Okabe and Ito's colours for readers of any colour vision, in tones between light and dark.
const COLOURS: [&str; 9] = [
    "#8a8a8a", "#8a8a8a", "#b8860b", "#cc79a7", "#2f9e77", "#9467bd", "#d55e00", "#3a87c8",
    "#56b4e9",
];
/// Lines differ without their colours, too.
const DASHES: [&str; 4] = ["", "7 3", "2 3", "9 3 2 3"];

impl Chart {
    /// The file.
    pub(super) fn to_svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" \
             font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
             <title>{}</title>\n\
             <style>text {{ fill: #333; }} .axis {{ stroke: #777; }} .grid {{ stroke: #8884; }}\n\
             @media (prefers-color-scheme: dark) {{ text {{ fill: #ddd; }} \
             .axis {{ stroke: #999; }} }}</style>\n",
            escaped(&self.title)
        );
        self.axes(&mut svg);
        for (number, series) in self.series.iter().enumerate() {
            self.line(&mut svg, number, series);
            legend(&mut svg, number, series);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn axes(&self, svg: &mut String) {
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        text(svg, (LEFT, 24.0), "start", "font-size=\"15\"", &self.title);
        text(svg, (middle, HEIGHT - 12.0), "middle", "", &self.x_label);
        let turned = format!(
            "transform=\"rotate(-90 16 {:.1})\"",
            (TOP + HEIGHT - BOTTOM) / 2.0
        );
        text(
            svg,
            (16.0, (TOP + HEIGHT - BOTTOM) / 2.0),
            "middle",
            &turned,
            &self.y_label,
        );
        for percent in [0.0, 20.0, 40.0, 60.0, 80.0, 100.0] {
            let y = y(percent);
            rule(svg, "grid", (LEFT, y), (WIDTH - RIGHT, y));
            text(
                svg,
                (LEFT - 8.0, y + 4.0),
                "end",
                "",
                &format!("{percent:.0} %"),
            );
        }
        for (at, label) in &self.x_ticks {
            let x = self.x(*at);
            rule(
                svg,
                "axis",
                (x, HEIGHT - BOTTOM),
                (x, HEIGHT - BOTTOM + 5.0),
            );
            text(svg, (x, HEIGHT - BOTTOM + 19.0), "middle", "", label);
        }
        rule(
            svg,
            "axis",
            (LEFT, HEIGHT - BOTTOM),
            (WIDTH - RIGHT, HEIGHT - BOTTOM),
        );
        rule(svg, "axis", (LEFT, TOP), (LEFT, HEIGHT - BOTTOM));
    }

    fn line(&self, svg: &mut String, number: usize, series: &Series) {
        let (colour, dash) = style(number);
        let places: Vec<(f64, f64)> = match (series.level, series.points.first()) {
            (true, Some(point)) => vec![(LEFT, y(point.y)), (WIDTH - RIGHT, y(point.y))],
            _ => series
                .points
                .iter()
                .map(|point| (self.x(point.x), y(point.y)))
                .collect(),
        };
        let path: Vec<String> = places
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        put(
            svg,
            format_args!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
             stroke-dasharray=\"{dash}\"/>\n",
                path.join(" ")
            ),
        );
        if series.level {
            return;
        }
        for (point, (x, at)) in series.points.iter().zip(&places) {
            let (low, high) = (y(point.low), y(point.high));
            put(
                svg,
                format_args!(
                    "<line x1=\"{x:.1}\" y1=\"{low:.1}\" x2=\"{x:.1}\" y2=\"{high:.1}\" \
                     stroke=\"{colour}\" stroke-opacity=\"0.5\"/>\n\
                     <circle cx=\"{x:.1}\" cy=\"{at:.1}\" r=\"3.5\" fill=\"{colour}\"/>\n"
                ),
            );
        }
    }

    fn x(&self, at: f64) -> f64 {
        let (from, to) = self.x_range;
        let share = if to > from {
            (at - from) / (to - from)
        } else {
            0.5
        };
        LEFT + share * (WIDTH - RIGHT - LEFT)
    }
}

fn y(percent: f64) -> f64 {
    HEIGHT - BOTTOM - percent / 100.0 * (HEIGHT - BOTTOM - TOP)
}

fn style(number: usize) -> (&'static str, &'static str) {
    (
        COLOURS[number % COLOURS.len()],
        DASHES[number % DASHES.len()],
    )
}

fn legend(svg: &mut String, number: usize, series: &Series) {
    let (colour, dash) = style(number);
    let (x, y) = (WIDTH - RIGHT + 16.0, TOP + 10.0 + 22.0 * number as f64);
    put(
        svg,
        format_args!(
            "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\" \
         stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>\n",
            x + 26.0
        ),
    );
    text(svg, (x + 32.0, y + 4.0), "start", "", &series.name);
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, more: &str, text: &str) {
    put(
        svg,
        format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {more}>{}</text>\n",
            escaped(text)
        ),
    );
}

fn rule(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    put(
        svg,
        format_args!(
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>\n",
            from.0, from.1, to.0, to.1
        ),
    );
}

fn put(svg: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = svg.write_fmt(what);
}

/// `text` between tags or within an attribute.
fn escaped(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
