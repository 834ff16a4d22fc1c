"""The disk of a dataset fails, or its file changes, in mid-epoch: one sentence, the exit code of its
class, and no rank is left."""

import os
import unittest

from training import DECODERS, TINY, TrainingTest, gondola, saw, write_idx

SHIM = os.environ["GONDOLA_FAILING_READ"]
OPTIONS = {**TINY, **DECODERS["siren"], "data.path": "images.h5", "trainer.steps": 100000}


class ReadErrorTest(TrainingTest):
    def setUp(self):
        super().setUp()
        write_idx(self.folder, train=2000, test=10)
        made = gondola("import", "idx", "--input", ".", "--output", "images.h5",
                       folder=self.folder)
        self.assertEqual(made.returncode, 0, made.stderr)

    def with_shim(self, after):
        for name, value in (("LD_PRELOAD", SHIM), ("GONDOLA_TEST_FAILING_FILE", "images.h5"),
                            ("GONDOLA_TEST_FAILING_AFTER", str(after))):
            os.environ[name] = value
            self.addCleanup(os.environ.pop, name)

    def test_a_read_error_in_mid_epoch_ends_all_ranks_with_74(self):
        self.with_shim(after=2_500_000)  # opening and the first epoch read less
        for cache in ("none", "host"):
            options = {"data.cache": cache, "run.folder": cache}
            if cache == "host":
                os.environ["GONDOLA_TEST_FAILING_AFTER"] = "500000"  # opening reads less
            world = self.train(2, OPTIONS, options, code=74)
            self.assertIn("Input/output error", world.errors)
            self.assertIn("images.h5", world.errors)
            self.assertEqual(world.survivors(), [])
            saw(f"data.cache = {cache}: " + world.sentences()[0])

    def test_a_file_that_is_cut_in_mid_epoch_ends_all_ranks_with_65(self):
        world = self.start(2, OPTIONS, {"data.cache": "none"}, folder=self.folder)
        world.wait_for_step(5)
        os.truncate(self.folder / "images.h5", os.path.getsize(self.folder / "images.h5") // 4)
        code, _ = world.end()
        self.assertEqual(code, 65, world.errors)
        self.assertIn("was cut after it was opened", world.errors)
        self.assertEqual(world.survivors(), [])
        saw(world.sentences()[0])


if __name__ == "__main__":
    unittest.main()
