//! What is wanted on an H200, and what vLLM reaches there.

use super::shape::Shape;
use super::workload::Workload;

/// Figures of a workload, in its unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Target {
    /// What is wanted at least of a rate, at most of a time.
    pub goal: Option<f64>,
    /// vLLM 0.24.0's, with its defaults, on one H200 (driver 580.159, CUDA 13.0).
    pub vllm: Option<f64>,
}

/// Workload, goal and vLLM's figure with Llama-3.1-8B's shape, the same with Qwen3-0.6B's. Of several
/// runs of vLLM the best one; over HTTP with its Rust front end.
const TARGETS: [(&str, [Option<f64>; 2], [Option<f64>; 2]); 18] = [
    ("start", [Some(8.0), Some(55.1)], [Some(4.0), Some(72.7)]),
    (
        "decode-1-128",
        [Some(4.0), Some(4.94)],
        [Some(0.7), Some(1.62)],
    ),
    (
        "decode-1-16384",
        [Some(4.6), Some(5.51)],
        [Some(1.1), Some(2.17)],
    ),
    (
        "streams-64",
        [Some(10_500.0), Some(9_374.0)],
        [Some(35_000.0), Some(23_496.0)],
    ),
    (
        "streams-256",
        [Some(20_000.0), Some(17_860.0)],
        [Some(60_000.0), Some(49_429.0)],
    ),
    (
        "prefill-8x8192",
        [Some(38_000.0), Some(37_829.0)],
        [Some(265_000.0), Some(262_985.0)],
    ),
    (
        "prefill-1x32768",
        [None, Some(27_370.0)],
        [None, Some(117_806.0)],
    ),
    (
        "ttft-8192-0",
        [Some(215.0), Some(218.7)],
        [Some(34.0), Some(35.3)],
    ),
    (
        "ttft-8192-50",
        [Some(110.0), Some(120.1)],
        [Some(20.0), Some(24.4)],
    ),
    (
        "ttft-8192-90",
        [Some(28.0), Some(32.9)],
        [Some(8.0), Some(19.3)],
    ),
    (
        "ttft-8192-99",
        [Some(7.0), Some(15.3)],
        [Some(3.0), Some(12.3)],
    ),
    ("ttft-32768-0", [None, Some(1_199.0)], [None, Some(277.6)]),
    (
        "ttft-32768-90",
        [Some(160.0), Some(176.6)],
        [Some(50.0), Some(69.9)],
    ),
    (
        "ttft-32768-99",
        [Some(25.0), Some(37.4)],
        [Some(10.0), Some(23.3)],
    ),
    ("mixed", [Some(21.0), Some(22.83)], [Some(5.0), Some(7.20)]),
    (
        "mixed-shared",
        [Some(21.0), Some(25.82)],
        [Some(5.5), Some(9.52)],
    ),
    ("http-64", [Some(10_000.0), Some(9_370.0)], [None, None]),
    ("http-64-cpu", [Some(40.0), Some(127.0)], [None, None]),
];

/// What there is of `workload` with a model of `shape`.
pub fn target(shape: Shape, workload: Workload) -> Target {
    let name = workload.to_string();
    let row = TARGETS.iter().find(|(row, ..)| *row == name);
    let figures = row.and_then(|(_, large, small)| match shape {
        Shape::L => Some(large),
        Shape::Q => Some(small),
        Shape::Tiny => None,
    });
    let [goal, vllm] = figures.copied().unwrap_or_default();
    Target { goal, vllm }
}

impl Target {
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
