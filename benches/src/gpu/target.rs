//! What is wanted on an H200, and what vLLM reaches there.

use super::shape::Shape;
use super::workload::Workload;

/// Figures of a workload, in its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// What is wanted at least of a rate, at most of a time.
    pub goal: Option<f64>,
    /// vLLM 0.24.0's, with its defaults, on one H200 (driver 580.159, CUDA 13.0).
    pub vllm: Option<f64>,
}

/// A workload with its targets for Llama-3.1-8B's shape and for Qwen3-0.6B's.
type Row = (&'static str, Target, Target);

/// Of several runs of vLLM the best one; over HTTP with its Rust front end.
const TARGETS: [Row; 18] = [
    ("start", wanted(8.0, 55.1), wanted(4.0, 72.7)),
    ("decode-1-128", wanted(4.0, 4.94), wanted(0.7, 1.62)),
    ("decode-1-16384", wanted(4.6, 5.51), wanted(1.1, 2.17)),
    (
        "streams-64",
        wanted(10_500.0, 9_374.0),
        wanted(35_000.0, 23_496.0),
    ),
    (
        "streams-256",
        wanted(20_000.0, 17_860.0),
        wanted(60_000.0, 49_429.0),
    ),
    (
        "prefill-8x8192",
        wanted(38_000.0, 37_829.0),
        wanted(265_000.0, 262_985.0),
    ),
    ("prefill-1x32768", known(27_370.0), known(117_806.0)),
    ("ttft-8192-0", wanted(215.0, 218.7), wanted(34.0, 35.3)),
    ("ttft-8192-50", wanted(110.0, 120.1), wanted(20.0, 24.4)),
    ("ttft-8192-90", wanted(28.0, 32.9), wanted(8.0, 19.3)),
    ("ttft-8192-99", wanted(7.0, 15.3), wanted(3.0, 12.3)),
    ("ttft-32768-0", known(1_199.0), known(277.6)),
    ("ttft-32768-90", wanted(160.0, 176.6), wanted(50.0, 69.9)),
    ("ttft-32768-99", wanted(25.0, 37.4), wanted(10.0, 23.3)),
    ("mixed", wanted(21.0, 22.83), wanted(5.0, 7.20)),
    ("mixed-shared", wanted(21.0, 25.82), wanted(5.5, 9.52)),
    ("http-64", wanted(10_000.0, 9_370.0), NOTHING),
    ("http-64-cpu", wanted(40.0, 127.0), NOTHING),
];

const NOTHING: Target = Target {
    goal: None,
    vllm: None,
};

const fn known(vllm: f64) -> Target {
    Target {
        goal: None,
        vllm: Some(vllm),
    }
}

const fn wanted(goal: f64, vllm: f64) -> Target {
    Target {
        goal: Some(goal),
        vllm: Some(vllm),
    }
}

/// What there is of `workload` with a model of `shape`.
pub fn target(shape: Shape, workload: Workload) -> Target {
    let name = workload.to_string();
    let row = TARGETS.iter().find(|(row, ..)| *row == name);
    match (row, shape) {
        (Some((_, large, _)), Shape::L) => *large,
        (Some((_, _, small)), Shape::Q) => *small,
        (None, _) | (_, Shape::Tiny) => NOTHING,
    }
}

impl Target {
    /// Whether there is neither a goal nor a figure of vLLM's.
    pub fn is_nothing(&self) -> bool {
        *self == NOTHING
    }

    /// Whether `value` reaches the goal; `None` without one.
    pub fn is_met(&self, workload: Workload, value: f64) -> Option<bool> {
        let goal = self.goal?;
        Some(match workload.is_rate() {
            true => value >= goal,
            false => value <= goal,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_workload_and_every_workload_has_a_row() {
        let all = Workload::OF_THE_ENGINE
            .into_iter()
            .chain(Workload::OF_A_SERVER);
        let names: Vec<String> = all.map(|workload| workload.to_string()).collect();
        let rows: Vec<&str> = TARGETS.iter().map(|(row, ..)| *row).collect();
        assert_eq!(names, rows);
    }

    #[test]
    fn rates_are_wanted_high_and_times_low() {
        let streams = Workload::Streams { count: 64 };
        let decode = Workload::Decode { prompt: 128 };
        let is_met = |shape, workload, value| target(shape, workload).is_met(workload, value);
        assert_eq!(is_met(Shape::L, streams, 10_500.0), Some(true));
        assert_eq!(is_met(Shape::L, streams, 10_499.0), Some(false));
        assert_eq!(is_met(Shape::Q, decode, 0.7), Some(true));
        assert_eq!(is_met(Shape::Q, decode, 0.71), Some(false));
        assert_eq!(is_met(Shape::Q, Workload::Http, 1.0), None);
        assert_eq!(is_met(Shape::Tiny, decode, 0.1), None);
    }
}
