"""A rank dies by SIGKILL while a checkpoint is written: the next start finds a complete one, and the
run ends as if nothing had happened.  GONDOLA_KILLS says how often."""

import os
import random
import signal
import time
import unittest

from processes import go_on, halt, wait_for
from training import DECODERS, TINY, TrainingTest, checkpoints, digest, last_step, losses, saw

KILLS = int(os.environ["GONDOLA_KILLS"])
# Steps that take little and checkpoints that take much.
OPTIONS = {**TINY, **DECODERS["siren"], "data.path": "synthetic:64x1x8x8", "trainer.batch_size": 8,
           "model.hidden": 384, "model.layers": 3, "run.resume": "auto",
           "checkpoint.every_steps": 1, "checkpoint.keep": 2}
ENDLESS = {"trainer.steps": 1000000}
LONGEST_DELAY = 0.04  # seconds after a checkpoint was begun


def unfinished(run):
    return list((run / "checkpoints").glob(".step-*"))


class CheckpointKillTest(TrainingTest):
    def halted_in_writing(self, training):
        """Whether a checkpoint is still being written when the processes stand still."""
        if not unfinished(training.run):
            return False
        halt(training.pids.values())
        if unfinished(training.run):
            return True
        go_on(training.pids.values())
        return False

    def kill_one(self, number, earlier_step):
        """Kills a rank, mostly the one that writes; returns the step to go on from, and whether the
        write was cut off.  The first kill is sure to meet a write, the others may."""
        training = self.start(2, OPTIONS, ENDLESS)
        training.wait_for_step(earlier_step + 3)  # whose row says that earlier_step + 1 is complete
        if number == 0:
            wait_for(lambda: self.halted_in_writing(training), "a checkpoint is written", every=0.0005)
        else:
            wait_for(lambda: unfinished(training.run), "a checkpoint is written", every=0.0005)
            time.sleep(LONGEST_DELAY * random.random())
        training.signal(0 if number % 4 != 3 else 1, signal.SIGKILL)
        go_on(training.pids.values())
        self.assertEqual(training.end()[0], 137, training.errors)
        self.assertEqual(training.survivors(), [])
        if earlier_step > 0:
            self.assertIn(f"resumed after step {earlier_step}", training.output)
        self.assertNotIn("passed over", training.errors)
        newest = int(checkpoints(training.run)[-1].name[5:])
        self.assertGreaterEqual(newest, last_step(training.run) - 2)
        return newest, bool(unfinished(training.run))

    def test_a_killed_rank_leaves_complete_checkpoints_and_the_run_ends_as_undisturbed(self):
        step, cut_off = 0, 0
        for number in range(KILLS):
            step, inside = self.kill_one(number, step)
            cut_off += inside
        self.assertGreater(cut_off, 0, "no kill met a checkpoint that was being written")

        end = {"trainer.steps": step + 3}
        run = self.train(2, OPTIONS, end).run
        reference = self.train(2, OPTIONS, end, folder=self.folder / "undisturbed").run
        self.assert_every_step_once(run, step + 3)
        self.assertEqual(losses(run), losses(reference))
        self.assertEqual(digest(run), digest(reference))
        self.assertEqual(unfinished(run), [])
        saw(f"{KILLS} kills, {cut_off} of them left an unfinished checkpoint; {step + 3} losses and "
            "the last checkpoint's bytes are those of the undisturbed run")


if __name__ == "__main__":
    unittest.main()
