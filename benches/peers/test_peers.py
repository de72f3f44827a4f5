"""What can be checked without a model: `python3 -m unittest discover benches/peers`."""

import json
import tempfile
import unittest
from pathlib import Path

import report
from processor_time import busy_ticks, process_ticks
from roofline import Limits, Shape
from served import Load
from workload import Workload, token


class WorkloadTest(unittest.TestCase):
    def test_tokens_are_those_of_the_other_programs(self) -> None:
        # The same values stand in benches/src/workload/tests.rs.
        self.assertEqual(token(0, 0, 49_152), 0)
        self.assertEqual(token(0, 1, 49_152), 31_153)
        self.assertEqual(token(1, 2, 4096), 866)

    def test_names_are_read(self) -> None:
        cases = {
            "pp512": (0, 512, 1, True),
            "tg128": (0, 128, 1, False),
            "tg16@1024": (1024, 16, 1, False),
            "tg32x8@128": (128, 32, 8, False),
            "tg32x16@shared1024": (1024, 32, 16, False, True),
        }
        for name, fields in cases.items():
            self.assertEqual(Workload.parse(name), Workload(name, *fields))

    def test_what_is_no_workload_is_refused(self) -> None:
        names = ["", "pp", "pp0", "512", "tgx8", "tg8x", "tg8@", "tg8x0", "tg1x2x3", "tg8@shared"]
        for name in names:
            with self.assertRaises(ValueError, msg=name):
                Workload.parse(name)


def repetitions(program: str, rates: list[float], share: float, run: int = 1) -> list[dict]:
    row = {"model": "smollm2-135m", "format": "bf16", "workload": "pp512", "threads": 2}
    row |= {"program": program, "foreign_share": share, "run": run, "device": "d"}
    return [row | {"tokens_per_second": rate, "commit": "abc", "command": "c"} for rate in rates]


class ReportTest(unittest.TestCase):
    def row(self, results: list[dict], most: float | None = None) -> str:
        ((key, newest),) = report.newest(results).items()
        return report.speed_row(key, newest, most)

    def test_a_row_has_medians_ranges_their_ratio_and_shares_of_the_roofline(self) -> None:
        ours, theirs = [90.0, 30.0, 60.0], [40.0, 50.0, 20.0]
        cases = {0.02: "2%", 0.5: "50% (busy)"}
        for share, others in cases.items():
            rows = repetitions("purser", ours, share) + repetitions("llama.cpp", theirs, share)
            cells = "60.0 [30.0..90.0] | 40.0 [20.0..50.0] | **1.50** | >= 1.4"
            roofline = "120 | 50% | 33%"
            expected = f"| smollm2-135m | bf16 | pp512 | {cells} | {roofline} | {others} |"
            self.assertEqual(self.row(rows, 120.0), expected)

    def test_a_missed_goal_is_not_bold(self) -> None:
        rows = repetitions("purser", [13.0], 0.0) + repetitions("llama.cpp", [10.0], 0.0)
        self.assertIn("| 1.30 | >= 1.4 |", self.row(rows))

    def test_the_newest_run_of_a_row_counts(self) -> None:
        rows = repetitions("purser", [1.0], 0.0) + repetitions("purser", [2.0], 0.0, run=2)
        rows += repetitions("llama.cpp", [5.0], 0.0, run=2)
        self.assertIn("| 2.0 [2.0..2.0] | 5.0 [5.0..5.0] | 0.40 |", self.row(rows))

    def test_what_failed_is_said(self) -> None:
        (failed,) = repetitions("purser", [1.0], 0.0)
        del failed["tokens_per_second"]
        failed["error"] = "no such file"
        rows = [failed, *repetitions("llama.cpp", [5.0], 0.0)]
        self.assertIn("| failed | 5.0 [5.0..5.0] | - | >= 1.4 |", self.row(rows))
        self.assertEqual(report.failures(rows)[-1], "- no such file")

    def test_a_folder_becomes_a_report(self) -> None:
        served = {"model": "qwen3-0.6b", "format": "bf16", "workload": "shared prefix", "run": 1}
        served |= {"commit": "abc", "command": "c", "foreign_share": 0.0}
        divergence = {"model": "pebble-20m", "format": "q8_0", "workload": "divergence", "run": 1}
        divergence |= {"commit": "abc", "command": "c", "positions": 9, "same_token": 0.5}
        machine = {"processor": "p", "hardware_threads": 2, "memory_gib": 8.0, "features": ["fma"]}
        machine |= {"quantity": "read", "unit": "GB/s", "kind": "bytes", "threads": 2}
        machine |= {"max": 20.0, "median": 19.0, "commit": "abc"}
        files = {
            "limits.jsonl": [machine],
            "speed.jsonl": repetitions("purser", [1.0], 0.0),
            "served.jsonl": [
                served | {"program": "purser", "seconds": 1.0},
                served | {"program": "llama.cpp", "seconds": 8.0},
            ],
            "accuracy.jsonl": [
                divergence | {"program": "purser", "divergence": 0.00125},
                divergence | {"program": "llama.cpp", "divergence": 0.0025},
            ],
        }
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            for name, lines in files.items():
                (out / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
            text = report.write(out, out)
        expected = [
            "Processor: p, 2 threads, 8.0 GiB; features: fma  ",
            "| read | GB/s | 2 | 20.0 [19.0] |",
            "| smollm2-135m | bf16 | pp512 | 1.0 [1.0..1.0] | failed | - | >= 1.4 | - | - | - "
            "| 0% |",
            "| qwen3-0.6b | bf16 | shared prefix | 1.000 [1.000..1.000] | 8.000 [8.000..8.000] "
            "| **0.12** | <= 0.2 | 0% |",
            "| pebble-20m | q8_0 | 9 | 1.25e-03 | 2.50e-03 | 50.00% | 50.00% |",
        ]
        for line in expected:
            self.assertIn(line, text.splitlines())


class RooflineTest(unittest.TestCase):
    SHAPE = Shape(
        weight_bytes=1_000,
        layer_weights=400,
        head_weights=100,
        kv_elements=8,
        query_elements=6,
        format="bf16",
    )

    def test_the_best_path_for_the_operands_is_the_peak(self) -> None:
        def line(kind: str, rate: float, threads: int = 2) -> dict:
            return {"kind": kind, "threads": threads, "max": rate}

        lines = [line("bytes", 20.0), line("integer", 400.0)]
        lines += [line("f32", 100.0), line("f32", 200.0)]
        limits = Limits.of([*lines, line("bytes", 10.0, threads=1)], 2)
        self.assertEqual(limits.bandwidth, 20e9)
        self.assertEqual(limits.peak(["f32", "bf16"]), 200e9)
        self.assertEqual(limits.peak(["f32", "bf16", "integer"]), 400e9)

    def test_a_prompt_is_bound_by_operations(self) -> None:
        # 2 * 400 * 10 for the layers, 2 * 100 for the head's one row, 4 * 6 * 55 for 55 pairs.
        limits = Limits(1e6, {"f32": 1_000.0})
        seconds = (8_000 + 200 + 1_320) / 1_000
        rate = self.SHAPE.tokens_per_second(limits, Workload.parse("pp10"))
        self.assertAlmostEqual(rate, 10 / seconds)

    def test_decoding_is_bound_by_bytes(self) -> None:
        # One step at length 6 of two sequences: 16 bytes of keys and values per cached token.
        limits = Limits(1_000.0, {"f32": 1e12})
        alone = self.SHAPE.tokens_per_second(limits, Workload.parse("tg1x2@5"))
        self.assertAlmostEqual(alone, 2 / ((1_000 + 16 * 12) / 1_000))
        shared = self.SHAPE.tokens_per_second(limits, Workload.parse("tg1x2@shared5"))
        self.assertAlmostEqual(shared, 2 / ((1_000 + 16 * 7) / 1_000))


class LoadTest(unittest.TestCase):
    def test_only_what_is_meant_to_be_cached_is_the_same(self) -> None:
        load = Load(4096)
        whole = load.tokens(1, 0, 100)
        self.assertEqual(load.tokens(1, 90, 100), whole[90:])
        others = [load.tokens(sequence, 0, 100) for sequence in range(2, 120)]
        # A cache block has 16 tokens.
        self.assertNotIn(whole[:16], [other[:16] for other in others])
        self.assertTrue(all(0 <= token < 4096 for other in others for token in other))


class ProcessorTimeTest(unittest.TestCase):
    # From proc(5): user nice system idle iowait irq softirq steal guest guest_nice.
    STAT = "cpu  100 20 30 900 40 5 5 10 0 0\ncpu0 1 2 3 4\n"

    def test_busy_is_all_but_idle_and_waiting(self) -> None:
        self.assertEqual(busy_ticks(self.STAT), 170)

    def test_a_process_has_user_and_system_time_behind_its_name(self) -> None:
        # The name may hold spaces and brackets; utime is field 14, stime field 15.
        stat = "42 (a) b) R " + " ".join(str(field) for field in range(4, 53))
        self.assertEqual(process_ticks(stat), 14 + 15)


if __name__ == "__main__":
    unittest.main()
