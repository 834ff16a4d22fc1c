"""A run is killed and started again a great many times, at any moment from its start on: in the end
its weights, losses and ledger are, bit for bit, those of a run that nothing happened to.
GONDOLA_KILLS says how often."""

import os
import random
import signal
import time
import unittest
from collections import Counter

from processes import wait_for
from training import (DECODERS, TINY, TrainingTest, checkpoints, digest, last_step, losses, ranks_of,
                      saw)

KILLS = int(os.environ["GONDOLA_KILLS"])
RANKS = 2
OPTIONS = {**TINY, **DECODERS["siren"], "data.path": "synthetic:64x1x8x8", "trainer.batch_size": 8,
           "run.resume": "auto", "checkpoint.every_steps": 3, "checkpoint.keep": 2,
           "data.ledger": "ledger.csv", "evaluation.every_steps": 10}
ENDLESS = {"trainer.steps": 1000000}
# What ends a run, and with which code.  A request to stop is carried out between two steps; before
# the first one it may still be the end by a signal.
WAYS = ((signal.SIGKILL, {137}), (signal.SIGKILL, {137}), (signal.SIGABRT, {134}),
        (signal.SIGUSR1, {75, 138}), (signal.SIGTERM, {75, 143}))
# Of the kills, the share that may come before the first step of a start.
EARLY = 0.3


class SoakTest(TrainingTest):
    def targets_written(self):
        """When: after the rows of steps that are made again were dropped."""
        path = self.folder / "run/prometheus/targets.json"
        return path.stat().st_mtime_ns if path.exists() else 0

    def wait_until_due(self, training, before, written):
        """Waits for a moment in the start or in the training; returns once there are processes."""
        if random.random() < EARLY:
            time.sleep(random.uniform(0.2, 3.0))
            wait_for(lambda: len(ranks_of(training.process.pid)) == RANKS, "all ranks are started")
            training.pids = ranks_of(training.process.pid)
            return
        wait_for(lambda: self.targets_written() != written, "the targets are written")
        training.wait_for_step(before + 1)
        time.sleep(random.uniform(0.0, 0.1))

    def disturb(self):
        """Starts the run and ends it; returns its exit code."""
        newest = checkpoints(self.folder / "run")
        before = int(newest[-1].name[5:]) if newest else 0
        written = self.targets_written()
        training = self.start(RANKS, OPTIONS, ENDLESS)
        self.wait_until_due(training, before, written)
        number, codes = random.choice(WAYS)
        training.signal(random.randrange(RANKS), number)
        code, _ = training.end()
        self.assertIn(code, codes, training.output + training.errors)
        self.assertEqual(training.survivors(), [])
        self.assertNotIn("passed over", training.errors)
        if newest and "run folder" in training.output:
            self.assertIn(f"resumed after step {before}", training.output)
        return code

    def test_a_run_that_is_killed_often_ends_with_the_weights_of_an_undisturbed_one(self):
        seed = random.randrange(2**32)
        random.seed(seed)
        saw(f"seed {seed}")
        codes = Counter(self.disturb() for _ in range(KILLS))
        end = {"trainer.steps": last_step(self.folder / "run") + 5}
        run = self.train(RANKS, OPTIONS, end).run
        reference = self.train(RANKS, OPTIONS, end, folder=self.folder / "undisturbed").run
        self.assert_every_step_once(run, end["trainer.steps"])
        self.assertEqual(losses(run), losses(reference))
        self.assertEqual((run.parent / "ledger.csv").read_bytes(),
                         (reference.parent / "ledger.csv").read_bytes())
        self.assertEqual(digest(run), digest(reference))
        saw(f"{KILLS} ends ({dict(codes)}) in {end['trainer.steps']} steps: the last checkpoint's bytes, "
            "the losses and the ledger are those of the undisturbed run")


if __name__ == "__main__":
    unittest.main()
