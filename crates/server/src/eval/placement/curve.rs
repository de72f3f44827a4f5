//! What the answers say of places and rules.
//!
//! Source: Liu et al., "Lost in the Middle" (2023): accuracy by the place of the one document that
//! answers, which for many models is a U.

use serde::Serialize;

use crate::eval::bootstrap::{Interval, interval};

/// The rules that are compared, in the order of the tables.
pub(super) const RULES: [&str; 5] = ["as_is", "edges", "head", "tail", "canonical"];

/// The answers to a task, all right or wrong.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Scored {
    /// With nothing but the document that answers.
    pub(super) alone: bool,
    /// By place.
    pub(super) at: Vec<bool>,
    /// By rule, as in [`RULES`].
    pub(super) by_rule: Vec<bool>,
}

/// What this model does with the place of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Shape {
    /// Both ends are read better than the middle.
    UCurve,
    /// Only the beginning is.
    Head,
    /// Only the end is.
    Tail,
    /// Neither is, as far as these tasks tell.
    None,
}

/// The figures. Shares from 0 to 1 of the tasks that the model can do at all, differences of them
/// paired by task; intervals are 95 %.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Curve {
    pub(super) tasks: usize,
    /// Tasks that are wrong even with nothing but the document that answers.
    pub(super) excluded: usize,
    pub(super) places: Vec<Place>,
    pub(super) rules: Vec<Rule>,
    /// The first place less the middle third.
    pub(super) first_less_middle: Option<Interval>,
    /// The last place less the middle third.
    pub(super) last_less_middle: Option<Interval>,
    pub(super) shape: Shape,
    /// `edges` less `as_is`.
    pub(super) edges_less_as_is: Option<Interval>,
    /// Whether the gain of `edges` may be claimed for this model: there is a U-curve, and a gain.
    pub(super) edges_gain: bool,
}

/// A place and how well a document is read there.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Place {
    /// From 0, the first, to 1, the last.
    pub(super) share: f64,
    pub(super) accuracy: Option<Interval>,
}

/// A rule and how well the document is read where it puts it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Rule {
    pub(super) rule: &'static str,
    pub(super) accuracy: Option<Interval>,
}

impl Curve {
    /// Of tasks that all have the same number of places.
    pub(super) fn new(scored: &[Scored], seed: u64) -> Self {
        let able: Vec<&Scored> = scored.iter().filter(|task| task.alone).collect();
        let places = able.first().map_or(0, |task| task.at.len());
        let mean = |of: &dyn Fn(&Scored) -> f64| {
            interval(&able, seed, |drawn| {
                let sum: f64 = drawn.iter().map(|task| of(task)).sum();
                (!drawn.is_empty()).then(|| sum / drawn.len() as f64)
            })
        };
        let one = |right: bool| f64::from(u8::from(right));
        let middle = |task: &Scored| {
            let thirds = &task.at[places / 3..places - places / 3];
            thirds.iter().map(|right| one(*right)).sum::<f64>() / thirds.len() as f64
        };
        let first = mean(&|task| one(task.at[0]) - middle(task));
        let last = mean(&|task| one(task.at[places - 1]) - middle(task));
        let edges = mean(&|task| one(task.by_rule[1]) - one(task.by_rule[0]));
        let is_gain = |interval: Option<Interval>| interval.is_some_and(|gain| gain.low > 0.0);
        let shape = match (is_gain(first), is_gain(last)) {
            (true, true) => Shape::UCurve,
            (true, false) => Shape::Head,
            (false, true) => Shape::Tail,
            (false, false) => Shape::None,
        };
        Self {
            tasks: able.len(),
            excluded: scored.len() - able.len(),
            places: (0..places)
                .map(|at| Place {
                    share: at as f64 / (places - 1) as f64,
                    accuracy: mean(&|task| one(task.at[at])),
                })
                .collect(),
            rules: RULES
                .into_iter()
                .enumerate()
                .map(|(at, rule)| Rule {
                    rule,
                    accuracy: mean(&|task| one(task.by_rule[at])),
                })
                .collect(),
            first_less_middle: first,
            last_less_middle: last,
            shape,
            edges_less_as_is: edges,
            edges_gain: shape == Shape::UCurve && is_gain(edges),
        }
    }

    /// Whether the tasks are too easy to tell places apart.
    fn is_right_everywhere(&self) -> bool {
        let right = |place: &Place| place.accuracy.is_some_and(|share| share.value == 1.0);
        !self.places.is_empty() && self.places.iter().all(right)
    }

    /// What follows, in words.
    pub(super) fn statement(&self) -> &'static str {
        match (self.shape, self.edges_gain) {
            (Shape::UCurve, true) => {
                "This model shows a U-curve: it reads both ends better than the middle by more \
                 than the interval, and `edges` gains by it."
            }
            (Shape::UCurve, false) => {
                "This model shows a U-curve: it reads both ends better than the middle by more \
                 than the interval. On these tasks `edges` is not better than `as_is` by more \
                 than the interval, so no gain is claimed."
            }
            (Shape::Head, _) => {
                "No U-curve: this model reads the beginning better than the middle, and the end \
                 not by more than the interval. No gain of `edges` is claimed."
            }
            (Shape::Tail, _) => {
                "No U-curve: this model reads the end better than the middle, and the beginning \
                 not by more than the interval. No gain of `edges` is claimed."
            }
            (Shape::None, _) if self.is_right_everywhere() => {
                "No curve to see: these tasks are right wherever the document stands. No gain of \
                 `edges` is claimed."
            }
            (Shape::None, _) => {
                "No U-curve: this model reads neither end better than the middle by more than the \
                 interval. No gain of `edges` is claimed."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Forty tasks; `right` says by task and place what is right.
    fn curve(right: impl Fn(usize, usize) -> bool, edges: bool) -> Curve {
        let scored = (0..40).map(|task| Scored {
            alone: task != 39,
            at: (0..9).map(|at| right(task, at)).collect(),
            by_rule: vec![task % 2 == 0, edges || task % 2 == 0, true, false, true],
        });
        Curve::new(&scored.collect::<Vec<_>>(), 1)
    }

    #[test]
    fn shapes_are_told_by_ends_that_beat_the_middle() {
        let ends = |from: usize, to: usize| {
            curve(move |task, at| at < from || at >= to || task % 4 == 0, true)
        };
        let u = ends(2, 7);
        assert_eq!((u.shape, u.edges_gain), (Shape::UCurve, true));
        // Of 39 tasks, 10 are right everywhere.
        let first = u.first_less_middle.unwrap();
        assert!((first.value - 29.0 / 39.0).abs() < 1e-12 && first.low > 0.5);
        assert_eq!((u.tasks, u.excluded), (39, 1));
        assert_eq!(u.places[0].accuracy.unwrap().value, 1.0);
        assert!((u.places[4].accuracy.unwrap().value - 10.0 / 39.0).abs() < 1e-12);
        assert_eq!((u.places[4].share, u.places[8].share), (0.5, 1.0));
        assert_eq!(ends(2, 9).shape, Shape::Head);
        assert_eq!(ends(0, 7).shape, Shape::Tail);
        assert_eq!(ends(0, 0).shape, Shape::None);
        // Better in the middle is no U either.
        assert_eq!(curve(|_, at| (3..6).contains(&at), true).shape, Shape::None);
    }

    #[test]
    fn a_gain_is_claimed_only_where_there_is_a_curve() {
        let flat = curve(|_, _| true, true);
        assert!(flat.edges_less_as_is.unwrap().low > 0.0);
        assert!(!flat.edges_gain && flat.statement().starts_with("No curve to see"));
        let equal = curve(|_, at| !(2..7).contains(&at), false);
        assert_eq!((equal.shape, equal.edges_gain), (Shape::UCurve, false));
        assert_eq!(equal.edges_less_as_is.unwrap().value, 0.0);
    }

    #[test]
    fn tasks_that_nobody_can_do_say_nothing() {
        let none = Scored {
            alone: false,
            at: vec![true; 9],
            by_rule: vec![true; 5],
        };
        let curve = Curve::new(&[none], 1);
        assert_eq!(
            (curve.tasks, curve.excluded, curve.shape),
            (0, 1, Shape::None)
        );
        assert!(curve.first_less_middle.is_none() && curve.rules[0].accuracy.is_none());
    }
}
