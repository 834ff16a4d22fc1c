"""Training at drawn coordinates: the same run on any number of ranks, whether they share images or
not, from any cache, and after a stop; with the spread of the estimate in the metrics."""

import math
import unittest

from training import DECODERS, TINY, Point, TrainingTest, gondola, rows, saw, write_idx

STEPS = 40
EVERY = 10
OPTIONS = {**TINY, **DECODERS["siren"], "trainer.steps": STEPS, "optimizer.learning_rate": 3e-4,
           "coordinates.spread_every": EVERY}
DRAWN = {"coordinates.inner": "sobol:101", "coordinates.outer": "stratified:48"}


class CoordinatesTest(TrainingTest):
    def compare(self, reference, ranks, *options, name):
        run = self.train(ranks, OPTIONS, *options, folder=self.folder / name).run
        worst = self.assert_same_losses(run, reference, relative=1e-10)
        saw(f"{name}: largest relative difference of the losses from one rank {worst:.1e}")
        return run

    def test_ranks_share_batches_images_or_both(self):
        reference = self.train(1, OPTIONS, DRAWN, folder=self.folder / "one").run
        for ranks, sharers in [(2, 1), (2, 2), (4, 2), (4, 4)]:
            run = self.compare(reference, ranks, DRAWN, {"parallel.coordinate_ranks": sharers},
                               name=f"{ranks} ranks, {sharers} to an image")
            for ours, theirs in zip(rows(run), rows(reference)):
                self.assertAlmostEqual(ours["latent_norm"], theirs["latent_norm"], delta=1e-9)
        spreads = {row["step"]: row["coordinate_spread"] for row in rows(reference)
                   if "coordinate_spread" in row}
        self.assertEqual(list(spreads), list(range(EVERY, STEPS + 1, EVERY)))
        self.assertTrue(all(math.isfinite(spread) and spread > 0 for spread in spreads.values()))
        self.assert_the_table_has_every_number(reference)

    def test_ranks_share_images_of_the_whole_grid(self):
        reference = self.train(1, OPTIONS, folder=self.folder / "one").run
        self.compare(reference, 4, {"parallel.coordinate_ranks": 4}, name="whole grid, 4 ranks")
        self.assertFalse(any("coordinate_spread" in row for row in rows(reference)))

    def test_pixels_are_the_same_from_a_file_and_from_any_cache(self):
        write_idx(self.folder, train=96, test=8)
        ended = gondola("import", "idx", "--input", ".", "--output", "data.h5", folder=self.folder)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        data = {"data.path": self.folder / "data.h5"}
        reference = self.train(1, OPTIONS, DRAWN, data, {"data.cache": "none"},
                               folder=self.folder / "file").run
        for cache in ("host", "auto"):
            self.compare(reference, 2, DRAWN, data, {"data.cache": cache}, name=cache)
        # One set drawn and the other whole: images are read whole, and weighted all the same.
        half = {"coordinates.outer": "uniform:784"}
        whole = self.train(1, OPTIONS, data, folder=self.folder / "whole").run
        self.compare(whole, 1, half, data, name="every pixel drawn")

    def test_a_resumed_run_draws_what_it_would_have_drawn(self):
        reference = self.train(2, OPTIONS, DRAWN, folder=self.folder / "undisturbed").run
        folder = self.folder / "stopped"
        training = self.start(2, OPTIONS, DRAWN, folder=folder, point=Point("optimizer", step=5))
        training.stop_at_point()
        self.assertEqual(training.end()[0], 75, training.errors)
        run = self.train(4, OPTIONS, DRAWN,
                         {"run.resume": "auto", "parallel.coordinate_ranks": 2}, folder=folder).run
        self.assert_every_step_once(run, STEPS)
        self.assert_same_losses(run, reference, relative=1e-10)


if __name__ == "__main__":
    unittest.main()
