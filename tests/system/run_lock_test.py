"""A run folder serves one job at a time; a job that was killed is in nobody's way."""

import contextlib
import os
import signal
import socket
import unittest

from training import DECODERS, TINY, TrainingTest, flags, gondola, rows, saw

OPTIONS = {**TINY, **DECODERS["siren"], "run.folder": "run", "run.resume": "auto",
           "checkpoint.every_steps": 5}


class RunLockTest(TrainingTest):
    def test_a_second_job_is_refused_and_the_first_goes_on(self):
        training = self.start(2, OPTIONS, {"trainer.steps": 100000})
        training.wait_for_step(6)
        ended = gondola("train", *flags(OPTIONS, {"trainer.steps": 20}), folder=self.folder)
        self.assertEqual(ended.returncode, 69, ended.stderr)
        said = self.assert_one_sentence(ended.stderr, "run folder 'run' is in use by process",
                                        f"{training.pids[0]} on {socket.gethostname()}",
                                        "--run.folder")
        saw(said)
        before = rows(training.run)[-1]["step"]
        training.wait_for_step(before + 5)

        training.process.kill()  # nobody puts the lock away
        for pid in training.pids.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        training.end()
        last = rows(training.run)[-1]["step"]
        ended = gondola("train", *flags(OPTIONS, {"trainer.steps": last + 3}), folder=self.folder)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertIn("resumed after step", ended.stdout)
        self.assert_every_step_once(training.run, last + 3)


if __name__ == "__main__":
    unittest.main()
