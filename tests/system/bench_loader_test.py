"""gondola bench loader: a well-formed line for each case of a small file."""

import itertools
import json
import tempfile
import unittest
from pathlib import Path

from training import gondola, write_idx

BATCH, TRAIN = 16, 200
SMALL = ["--data.path", "images.h5", "--trainer.batch_size", str(BATCH), "--bench.repeats", "3",
         "--data.block_images", "20", "--model.hidden", "8", "--model.layers", "2"]
RATES = ("pread_images_per_second", "mmap_images_per_second", "cpu_seconds_per_million_images",
         "mmap_cpu_seconds_per_million_images")


class BenchLoaderTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="gondola-bench-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        write_idx(self.folder, train=TRAIN, test=10)
        made = gondola("import", "idx", "--input", ".", "--output", "images.h5", folder=self.folder)
        self.assertEqual(made.returncode, 0, made.stderr)

    def lines_of(self, *options):
        ended = gondola("bench", "loader", *SMALL, *options, folder=self.folder)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        lines = [json.loads(line) for line in ended.stdout.splitlines()]
        for line in lines:
            self.assertEqual(line["bench"], "loader")
            self.assertEqual(line["batch_size"], BATCH)
            self.assertEqual(line["image"], "1x28x28")
        return lines

    def check_spread(self, spread):
        self.assertEqual(set(spread), {"median", "min", "max"})
        self.assertGreater(spread["min"], 0)
        self.assertLessEqual(spread["min"], spread["median"])
        self.assertLessEqual(spread["median"], spread["max"])

    def check_cold(self, line):
        self.assertEqual((line["cache_state"], line["shuffle"], line["cache"]),
                         ("cold", "blocks", "none"))
        self.assertEqual(line["images"], TRAIN // BATCH * BATCH)
        self.assertEqual(line["block_images"], 20)
        self.assertEqual(line["control"], "sequential read")
        self.assertTrue(0 <= line["left_in_page_cache"] <= 1)
        self.assertGreater(line["control_bytes_per_second"], 0)

    def check_warm(self, line):
        self.assertEqual(line["images"], TRAIN)
        self.assertIn(line["control"], ("mmap", "pread"))
        self.check_spread(line["ratio_to_pread"])
        for rate in RATES:
            self.assertGreater(line[rate], 0, rate)

    def test_each_case_has_a_line(self):
        *cases, step = self.lines_of()
        for case in cases:
            self.check_spread(case["images_per_second"])
            self.check_spread(case["ratio_to_control"])
            self.assertAlmostEqual(case["bytes_per_second"],
                                   784 * case["images_per_second"]["median"], places=3)
            self.assertEqual(case["repeats"], 3)
        cold, *warm = cases
        self.check_cold(cold)
        for case in warm:
            self.check_warm(case)
        self.assertEqual([(case["threads"], case["shuffle"], case["cache"]) for case in warm],
                         list(itertools.product((1, 2), ("full", "blocks", "none"),
                                                ("none", "host"))))
        self.assertEqual((step["case"], step["decoder"], step["steps"]),
                         ("training step", "siren", 3))
        for spread in (step["step_seconds"], step["wait_seconds"], step["share_waiting"]):
            self.check_spread(spread)
        self.assertLessEqual(step["share_waiting"]["max"], 1)

    def test_options_choose_the_cases(self):
        case, = self.lines_of("--data.shuffle", "full", "--data.cache", "none",
                              "--bench.threads", "2")
        self.assertEqual((case["threads"], case["shuffle"], case["cache"], case["cache_state"]),
                         (2, "full", "none", "warm"))
        states = [line["cache_state"] for line in self.lines_of(
            "--data.shuffle", "blocks", "--bench.threads", "1")]
        self.assertEqual(states, ["cold", "warm", "warm"])


if __name__ == "__main__":
    unittest.main()
