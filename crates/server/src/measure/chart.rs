//! Charts as SVG that needs nothing else and is readable on light and dark background.

use std::fmt::Write;

/// A chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

/// A linear scale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    pub(crate) label: String,
    /// From, to.
    pub(crate) range: (f64, f64),
    pub(crate) ticks: Vec<(f64, String)>,
}

/// Points that belong together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
    pub(crate) mark: Mark,
    pub(crate) style: Style,
}

/// Colour and dash of a series, each a number of which there are a few before they come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) colour: usize,
    pub(crate) dash: usize,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Points, joined by a line.
    LineAndPoints,
    Line,
    Points,
    /// A level rather than points that belong to x: drawn across the whole chart.
    Level,
}

/// A point with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
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

impl Axis {
    /// Percent, from 0 to 100.
    pub(crate) fn percent(label: &str) -> Self {
        let ticks = [0.0, 20.0, 40.0, 60.0, 80.0, 100.0];
        Self {
            label: label.to_owned(),
            range: (0.0, 100.0),
            ticks: ticks.map(|at| (at, format!("{at:.0} %"))).to_vec(),
        }
    }

    /// From 0 to `most` or the next round number after it.
    pub(crate) fn from_zero(label: &str, most: f64) -> Self {
        Self::in_steps(label, most, step(most))
    }

    /// As [`Self::from_zero`], of what has no fractions.
    pub(crate) fn of_counts(label: &str, most: f64) -> Self {
        Self::in_steps(label, most, step(most).max(1.0))
    }

    fn in_steps(label: &str, most: f64, step: f64) -> Self {
        let last = (most / step).ceil().max(1.0) as usize;
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let tick = |number| {
            let at = f64::from(number as u32) * step;
            (at, format!("{at:.decimals$}"))
        };
        Self {
            label: label.to_owned(),
            range: (0.0, last as f64 * step),
            ticks: (0..=last).map(tick).collect(),
        }
    }

    /// Where `at` lies, from 0 to 1.
    fn share(&self, at: f64) -> f64 {
        let (from, to) = self.range;
        if to > from {
            (at - from) / (to - from)
        } else {
            0.5
        }
    }
}

impl Point {
    /// Without an interval.
    pub(crate) fn at(x: f64, y: f64) -> Self {
        Self {
            x,
            y,
            low: y,
            high: y,
        }
    }
}

impl Chart {
    /// The file.
    pub(crate) fn to_svg(&self) -> String {
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
            self.line(&mut svg, series);
            legend(&mut svg, number, series);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn axes(&self, svg: &mut String) {
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        text(svg, (LEFT, 24.0), "start", "font-size=\"15\"", &self.title);
        text(svg, (middle, HEIGHT - 12.0), "middle", "", &self.x.label);
        let turned = format!(
            "transform=\"rotate(-90 16 {:.1})\"",
            (TOP + HEIGHT - BOTTOM) / 2.0
        );
        text(
            svg,
            (16.0, (TOP + HEIGHT - BOTTOM) / 2.0),
            "middle",
            &turned,
            &self.y.label,
        );
        for (at, label) in &self.y.ticks {
            let y = self.y(*at);
            rule(svg, "grid", (LEFT, y), (WIDTH - RIGHT, y));
            text(svg, (LEFT - 8.0, y + 4.0), "end", "", label);
        }
        for (at, label) in &self.x.ticks {
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

    fn line(&self, svg: &mut String, series: &Series) {
        let places: Vec<(f64, f64)> = match (series.mark, series.points.first()) {
            (Mark::Level, Some(point)) => {
                let y = self.y(point.y);
                vec![(LEFT, y), (WIDTH - RIGHT, y)]
            }
            _ => series
                .points
                .iter()
                .map(|point| (self.x(point.x), self.y(point.y)))
                .collect(),
        };
        if series.mark != Mark::Points {
            join(svg, series.style, &places);
        }
        if matches!(series.mark, Mark::LineAndPoints | Mark::Points) {
            for (point, place) in series.points.iter().zip(&places) {
                self.point(svg, series.style, point, *place);
            }
        }
    }

    fn point(&self, svg: &mut String, style: Style, point: &Point, (x, at): (f64, f64)) {
        let colour = style.colour();
        if point.low < point.high {
            let (low, high) = (self.y(point.low), self.y(point.high));
            put(
                svg,
                format_args!(
                    "<line x1=\"{x:.1}\" y1=\"{low:.1}\" x2=\"{x:.1}\" y2=\"{high:.1}\" \
                     stroke=\"{colour}\" stroke-opacity=\"0.5\"/>\n"
                ),
            );
        }
        put(
            svg,
            format_args!("<circle cx=\"{x:.1}\" cy=\"{at:.1}\" r=\"3.5\" fill=\"{colour}\"/>\n"),
        );
    }

    fn x(&self, at: f64) -> f64 {
        LEFT + self.x.share(at) * (WIDTH - RIGHT - LEFT)
    }

    fn y(&self, at: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.share(at) * (HEIGHT - BOTTOM - TOP)
    }
}

fn join(svg: &mut String, style: Style, places: &[(f64, f64)]) {
    let (colour, dash) = (style.colour(), style.dash());
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
}

impl Style {
    /// That of the series with this number, all of which differ.
    pub(crate) fn numbered(number: usize) -> Self {
        Self {
            colour: number,
            dash: number,
        }
    }

    fn colour(self) -> &'static str {
        COLOURS[self.colour % COLOURS.len()]
    }

    fn dash(self) -> &'static str {
        DASHES[self.dash % DASHES.len()]
    }
}

fn legend(svg: &mut String, number: usize, series: &Series) {
    let colour = series.style.colour();
    let (x, y) = (WIDTH - RIGHT + 16.0, TOP + 10.0 + 22.0 * number as f64);
    if series.mark == Mark::Points {
        put(
            svg,
            format_args!(
                "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>\n",
                x + 13.0
            ),
        );
    } else {
        join(svg, series.style, &[(x, y), (x + 26.0, y)]);
    }
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
pub(crate) fn escaped(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', "&quot;")
}

/// 1, 2 or 5 times a power of ten, so that there are four to ten ticks.
fn step(most: f64) -> f64 {
    if most.is_nan() || most <= 0.0 {
        return 1.0;
    }
    let mut power = 10f64.powf((most / 10.0).log10().floor());
    loop {
        for factor in [1.0, 2.0, 5.0] {
            if most <= factor * power * 8.0 {
                return factor * power;
            }
        }
        power *= 10.0;
    }
}

#[cfg(test)]
mod tests;
