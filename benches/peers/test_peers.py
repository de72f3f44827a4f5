"""What can be checked without a model: `python3 -m unittest discover benches/peers`."""

import unittest

from compare import table
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
        def results(program: str, rates: list[float]) -> list[dict]:
            row = {"model": "m", "dtype": "f32", "workload": "pp8", "command": "c", "device": "d"}
            return [row | {"program": program, "tokens_per_second": rate} for rate in rates]

        provenance = {
            "processor": "p",
            "hardware_threads": 2,
            "memory_gib": 8.0,
            "features": ["fma"],
            "commit": "abc",
        }
        rows = results("purser", [90.0, 30.0, 60.0]) + results("llama.cpp", [40.0, 50.0, 20.0])
        expected = "| m | f32 | pp8 | 60.0 [30.0..90.0] | 40.0 [20.0..50.0] | 1.50 |"
        self.assertEqual(table(rows, provenance).splitlines()[-1], expected)


if __name__ == "__main__":
    unittest.main()
