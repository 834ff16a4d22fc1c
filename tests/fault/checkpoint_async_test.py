"""Checkpoints that are written beside training: steps go on meanwhile, failures count, and what is
on disk in the end is what a run that waits for its checkpoints leaves.  Mounts small disks that only
this test sees."""

import os
import signal
import subprocess
import time
import unittest

import namespaces
from processes import wait_for
from training import (DECODERS, TINY, TrainingTest, checkpoints, gondola, last_step, losses, saw,
                      sentences)

OPTIONS = {**TINY, **DECODERS["siren"], "data.path": "synthetic:64x1x8x8", "trainer.batch_size": 8,
           "run.resume": "auto", "checkpoint.every_steps": 20, "checkpoint.keep": 2}
ENDLESS = {"trainer.steps": 1000000}
FAILED = "is not written"


def mount(folder, *options):
    subprocess.run(["mount", "-t", "tmpfs", *options, "gondola-test", str(folder)], check=True)


def unfinished(run):
    return [path.name for path in (run / "checkpoints").glob(".step-*")]


def failures_logged(run):
    return (run / "logs" / "rank-0.log").read_text().count(FAILED)


class CheckpointAsyncTest(TrainingTest):
    def fill_disk_of_checkpoints(self, run):
        """From now on the checkpoints of a run are on a disk of their own without room for one."""
        mount(run / "checkpoints", "-o", "size=8k")
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(run / "checkpoints")], check=True)

    def weights_of(self, run):
        exported = gondola("export", run, "--output", "weights.safetensors", folder=run)
        self.assertEqual(exported.returncode, 0, exported.stderr)
        data = (run / "weights.safetensors").read_bytes()
        return data[8 + int.from_bytes(data[:8], "little"):]  # the header names the checkpoint

    def test_steps_go_on_while_a_slow_disk_takes_a_checkpoint(self):
        hold = self.folder / "hold"
        hold.touch()
        for name, value in (("LD_PRELOAD", os.environ["GONDOLA_HELD_SYNC"]),
                            ("GONDOLA_TEST_HOLD_SYNC", str(hold))):
            os.environ[name] = value
            self.addCleanup(os.environ.pop, name)
        training = self.start(2, OPTIONS, ENDLESS, {"checkpoint.every_steps": 60})
        training.wait_for_step(90)
        wait_for(lambda: unfinished(training.run), "the checkpoint of step 60 is begun")
        self.assertEqual(checkpoints(training.run), [])
        self.assertEqual(len(unfinished(training.run)), 1)
        self.assertIn("step-00000060", unfinished(training.run)[0])
        hold.unlink()
        wait_for(lambda: checkpoints(training.run), "the checkpoint of step 60")

        # While a later one is written the ranks are asked to stop.
        hold.touch()
        wait_for(lambda: unfinished(training.run), "another checkpoint is begun")
        training.signal(1, signal.SIGUSR1)
        time.sleep(0.5)  # the stop may also come when the disk is ready again: the end is the same
        hold.unlink()
        self.assertEqual(training.end()[0], 75, training.errors)
        stopped = last_step(training.run)
        self.assertEqual(checkpoints(training.run)[-1].name, f"step-{stopped:08}")
        self.assertEqual(len(checkpoints(training.run)), 2)
        self.assertEqual(unfinished(training.run), [])
        saw(f"30 steps were made while the checkpoint of step 60 was held; stopped with 75 after the "
            f"checkpoint of step {stopped}")

    def test_a_run_that_waits_for_its_checkpoints_trains_the_same_and_keeps_the_same(self):
        ends = []
        for beside in ("true", "false"):
            run = self.train(2, OPTIONS, {
                "trainer.steps": 50, "checkpoint.every_steps": 3, "evaluation.every_steps": 7,
                "checkpoint.asynchronous": beside}, folder=self.folder / beside).run
            names = [path.name for path in checkpoints(run)]
            ends.append((losses(run), self.weights_of(run), names,
                         os.readlink(run / "checkpoints" / "best")))
        self.assertEqual(ends[0], ends[1])

    def test_failures_that_are_allowed_stop_nothing_and_the_next_checkpoint_is_good(self):
        training = self.start(2, OPTIONS, ENDLESS, {"checkpoint.failures_allowed": 1000000})
        training.wait_for_step(30)
        run = training.run
        self.fill_disk_of_checkpoints(run)
        wait_for(lambda: failures_logged(run) >= 3, "three failures")
        self.assertEqual(checkpoints(run), [])
        mount(run / "checkpoints", "-o", "remount,size=64m")
        wait_for(lambda: checkpoints(run), "a good checkpoint")
        training.signal(0, signal.SIGUSR1)
        self.assertEqual(training.end()[0], 75, training.errors)
        said = sentences(training.errors)
        self.assertGreaterEqual(len(said), 3)
        for i, sentence in enumerate(said):
            self.assertIn("gondola: warning: rank 0: the checkpoint of step", sentence)
            self.assertIn(f"failure {i + 1} in a row", sentence)
            if i > 0:  # the first may have been under way when its folder went
                self.assertIn("No space left on device", sentence)
        self.assertEqual(unfinished(run), [])

        stopped = last_step(run)
        end = {"trainer.steps": stopped + 5}
        resumed = self.train(2, OPTIONS, end)
        self.assertIn(f"resumed after step {stopped}", resumed.output)
        reference = self.train(2, OPTIONS, end, folder=self.folder / "undisturbed").run
        self.assertEqual(losses(run), losses(reference))
        self.assertEqual(self.weights_of(run), self.weights_of(reference))
        saw(f"{len(said)} checkpoints in a row failed, the next were good; last: {said[-1]}")

    def test_one_failure_more_than_is_allowed_ends_all_ranks_with_74(self):
        training = self.start(2, OPTIONS, ENDLESS, {"checkpoint.failures_allowed": 2})
        training.wait_for_step(30)
        self.fill_disk_of_checkpoints(training.run)
        self.assertEqual(training.end()[0], 74, training.errors)
        self.assertEqual(training.survivors(), [])
        *warnings, last = sentences(training.errors)
        self.assertEqual(len(warnings), 2, training.errors)
        self.assertTrue(all("warning" in sentence for sentence in warnings), training.errors)
        self.assertIn("gondola: rank 0: the checkpoint of step", last)
        self.assertIn("No space left on device", last)
        self.assertEqual(unfinished(training.run), [])
        saw(last)

    def test_the_checkpoint_of_a_stop_may_not_fail(self):
        training = self.start(2, OPTIONS, ENDLESS,
                              {"checkpoint.failures_allowed": 1000000, "checkpoint.every_steps": 0})
        training.wait_for_step(30)
        self.fill_disk_of_checkpoints(training.run)
        training.signal(1, signal.SIGUSR1)
        self.assertEqual(training.end()[0], 74, training.errors)
        self.assert_one_sentence(training.errors, "rank 0", FAILED, "No space left on device")


if __name__ == "__main__":
    namespaces.need("mounting a small disk")
    unittest.main()
