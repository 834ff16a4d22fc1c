"""A run that is stopped in mid-epoch and resumed, on whatever number of ranks, is the run that was
never stopped: the same images in the same order, the same losses, on the same ranks the same bytes."""

import random
import unittest

from training import DECODERS, TINY, Point, TrainingTest, digest, losses, rows, saw

STEPS = 120
EPOCH = 8
# At ten times the published rate a SIREN's loss jumps about, and rounding grows with it.
RUN = {"trainer.steps": STEPS, "optimizer.learning_rate": 3e-4, "data.ledger": "ledger.csv", "run.resume": "auto",
       "evaluation.every_steps": 50}


class ResumeTest(TrainingTest):
    def stop(self, ranks, options, folder, after):
        """Starts the run and asks all ranks to stop after so many steps of this start; returns the
        step that they stopped after."""
        training = self.start(ranks, options, RUN, folder=folder,
                              point=Point("optimizer", step=after))
        training.stop_at_point()
        self.assertEqual(training.end()[0], 75, training.errors)
        self.assertIn("stopped on request after step", training.output)
        return rows(training.run)[-1]["step"]

    def stop_and_resume(self, worlds, options, folder):
        """Runs on each number of ranks in turn; returns the steps after which it stopped."""
        stops = [0]
        for i, ranks in enumerate(worlds[:-1]):
            step = STEPS * i // len(worlds) // EPOCH * EPOCH + random.randrange(2, EPOCH - 1)
            stops.append(self.stop(ranks, options, folder, step - stops[-1]))
            self.assertNotEqual(stops[-1] % EPOCH, 0)
        training = self.train(worlds[-1], options, RUN, folder=folder)
        self.assertIn(f"resumed after step {stops[-1]}", training.output)
        self.assertGreater(len(set(stops)), len(worlds) - 1)
        return training.run, stops[1:]

    def check(self, decoder):
        options = {**TINY, **DECODERS[decoder]}
        reference = self.train(2, options, RUN, folder=self.folder / "undisturbed").run
        ledger = (reference.parent / "ledger.csv").read_text()
        self.check_ledger(ledger)
        for worlds in [(1, 2), (4, 2, 4), (2, 2)]:
            name = "-".join(map(str, worlds))
            with self.subTest(decoder=decoder, ranks=name):
                run, stops = self.stop_and_resume(worlds, options, self.folder / name)
                self.assertEqual((run.parent / "ledger.csv").read_text(), ledger)
                self.assert_every_step_once(run, STEPS)
                worst = self.assert_same_losses(run, reference, relative=1e-10)
                if set(worlds) == {2}:
                    self.assertEqual(losses(run), losses(reference))
                    self.assertEqual(digest(run), digest(reference))
                saw(f"{decoder}, ranks {name}: stopped after {stops}, ledger the same, largest "
                    f"relative difference of {len(losses(run))} losses {worst:.1e}, checkpoint "
                    + ("the same" if digest(run) == digest(reference) else "of other bytes"))

    def check_ledger(self, ledger):
        """Every epoch uses an image at most once, and every batch is whole."""
        lines = [tuple(map(int, line.split(","))) for line in ledger.splitlines()]
        batch = TINY["trainer.batch_size"]
        self.assertEqual(len(lines), STEPS * batch)
        for epoch in range(STEPS // EPOCH):
            used = [image for _, of, _, image in lines if of == epoch]
            self.assertEqual(len(set(used)), EPOCH * batch)
        self.assertEqual([step for step, _, _, _ in lines],
                         [1 + i // batch for i in range(STEPS * batch)])

    def test_a_siren_run_resumed_on_other_ranks_is_the_undisturbed_run(self):
        self.check("siren")

    def test_a_conv_run_with_batch_norm_resumed_on_other_ranks_is_the_undisturbed_run(self):
        self.check("conv")


if __name__ == "__main__":
    unittest.main()
