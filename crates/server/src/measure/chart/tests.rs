use super::{Axis, Chart, Mark, Point, Series, Style};

fn point(x: f64, y: f64) -> Point {
    Point {
        x,
        y,
        low: y - 5.0,
        high: y + 5.0,
    }
}

fn chart() -> Chart {
    Chart {
        title: "Facts & <budgets>".to_owned(),
        x: Axis {
            label: "budget \"B\"".to_owned(),
            range: (0.0, 100.0),
            ticks: vec![(0.0, "0".to_owned()), (100.0, "100".to_owned())],
        },
        y: Axis::percent("right"),
        series: vec![
            Series {
                name: "full".to_owned(),
                points: vec![point(0.0, 90.0)],
                mark: Mark::Level,
                style: Style::numbered(0),
            },
            Series {
                name: "last_n".to_owned(),
                points: vec![point(25.0, 40.0), point(100.0, 90.0)],
                mark: Mark::LineAndPoints,
                style: Style::numbered(1),
            },
        ],
    }
}

/// Every tag is closed in order, every attribute is quoted, no character is left unescaped.
fn check_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        assert!(
            !rest[..at].contains('>'),
            "a stray > before {:?}",
            &rest[..at]
        );
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.trim_matches('/').split_whitespace().next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
    let entities = svg
        .replace("&amp;", "")
        .replace("&lt;", "")
        .replace("&gt;", "");
    assert!(!entities.replace("&quot;", "").contains('&'));
}

#[test]
fn a_chart_is_well_formed_and_needs_nothing_else() {
    let svg = chart().to_svg();
    check_well_formed(&svg);
    assert!(svg.contains("Facts &amp; &lt;budgets&gt;"));
    assert!(svg.contains("prefers-color-scheme: dark"));
    assert_eq!(svg.matches("http").count(), 1, "only the name space");
}

#[test]
fn points_are_where_their_figures_say() {
    let svg = chart().to_svg();
    // x: 62 + 25 % of 528 = 194; y: 384 - 40 % of 340 = 248, 384 - 90 % of 340 = 78.
    assert!(svg.contains("points=\"194.0,248.0 590.0,78.0\""), "{svg}");
    assert!(svg.contains("<circle cx=\"194.0\" cy=\"248.0\""));
    // Intervals of 5 points to both sides: 17 pixels.
    assert!(
        svg.contains("y1=\"265.0\" x2=\"194.0\" y2=\"231.0\""),
        "{svg}"
    );
    // A level goes through the whole chart and has no points.
    assert!(svg.contains("points=\"62.0,78.0 590.0,78.0\""));
    assert_eq!(svg.matches("<circle").count(), 2);
}

#[test]
fn a_chart_of_nothing_is_a_chart() {
    let empty = Chart {
        x: Axis {
            range: (0.0, 0.0),
            ..chart().x
        },
        series: Vec::new(),
        ..chart()
    };
    check_well_formed(&empty.to_svg());
    assert!(!empty.to_svg().contains("NaN"));
}

#[test]
fn axes_end_at_round_numbers() {
    let ticks = |most: f64| -> Vec<String> {
        let axis = Axis::from_zero("", most);
        axis.ticks.into_iter().map(|(_, label)| label).collect()
    };
    assert_eq!(ticks(7.3), ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
    assert_eq!(
        ticks(0.31),
        [
            "0.00", "0.05", "0.10", "0.15", "0.20", "0.25", "0.30", "0.35"
        ]
    );
    assert_eq!(
        ticks(1200.0),
        ["0", "200", "400", "600", "800", "1000", "1200"]
    );
    assert_eq!(ticks(0.0), ["0", "1"]);
    assert_eq!(Axis::of_counts("", 2.0).ticks.len(), 3);
}

#[test]
fn series_are_drawn_as_they_say() {
    let marked = |mark: Mark| {
        let mut chart = chart();
        chart.series.truncate(1);
        chart.series[0].points = vec![Point::at(0.0, 10.0), Point::at(50.0, 20.0)];
        chart.series[0].mark = mark;
        let svg = chart.to_svg();
        check_well_formed(&svg);
        (
            svg.matches("<polyline").count(),
            svg.matches("<circle").count(),
        )
    };
    // One of each is in the legend.
    assert_eq!(marked(Mark::LineAndPoints), (2, 2));
    assert_eq!(marked(Mark::Line), (2, 0));
    assert_eq!(marked(Mark::Points), (0, 3));
    assert_eq!(marked(Mark::Level), (2, 0));
}
