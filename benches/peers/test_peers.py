"""What can be checked without a model: `python3 -m unittest discover benches/peers`."""

import unittest

from compare import table
from processor_time import busy_ticks, process_ticks
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
        }
        for name, (context, tokens, sequences, is_prefill) in cases.items():
            expected = Workload(name, context, tokens, sequences, is_prefill)
            self.assertEqual(Workload.parse(name), expected)

    def test_what_is_no_workload_is_refused(self) -> None:
        for name in ["", "pp", "pp0", "512", "tgx8", "tg8x", "tg8@", "tg8x0", "tg1x2x3"]:
            with self.assertRaises(ValueError, msg=name):
                Workload.parse(name)


class TableTest(unittest.TestCase):
    def test_a_row_has_medians_ranges_and_their_ratio(self) -> None:
        def results(program: str, rates: list[float], foreign_share: float) -> list[dict]:
            row = {"model": "m", "dtype": "f32", "workload": "pp8", "command": "c", "device": "d"}
            row |= {"program": program, "foreign_share": foreign_share}
            return [row | {"tokens_per_second": rate} for rate in rates]

        provenance = {
            "processor": "p",
            "hardware_threads": 2,
            "memory_gib": 8.0,
            "features": ["fma"],
            "commit": "abc",
        }
        ours, theirs = [90.0, 30.0, 60.0], [40.0, 50.0, 20.0]
        cases = {0.02: "2%", 0.5: "50% (busy)"}
        for share, others in cases.items():
            rows = results("purser", ours, share) + results("llama.cpp", theirs, share)
            cells = f"60.0 [30.0..90.0] | 40.0 [20.0..50.0] | 1.50 | {others}"
            last = table(rows, provenance).splitlines()[-1]
            self.assertEqual(last, f"| m | f32 | pp8 | {cells} |")


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
