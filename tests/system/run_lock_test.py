"""A run folder serves one job at a time; a job that was killed is in nobody's way."""

import socket
import unittest

from training import DECODERS, TINY, TrainingTest, flags, gondola, last_step, rows, saw

OPTIONS = {**TINY, **DECODERS["siren"], "run.folder": "run", "run.resume": "auto",
           "checkpoint.every_steps": 5}


class RunLockTest(TrainingTest):
    def test_a_second_job_is_refused_and_the_first_goes_on(self):
        training = self.start(2, OPTIONS, {"trainer.steps": 1000000})
        training.wait_for_step(6)
        ended = gondola("train", *flags(OPTIONS, {"trainer.steps": 20}), folder=self.folder)
        self.assertEqual(ended.returncode, 69, ended.stderr)
        said = self.assert_one_sentence(ended.stderr, "run folder 'run' is in use by process",
                                        f"{training.pids[0]} on {socket.gethostname()}",
                                        "--run.folder")
        saw(said)
        training.wait_for_step(last_step(training.run) + 5)

        training.kill()  # nobody puts the lock away
        self.assertEqual(training.survivors(), [])
        last = rows(training.run)[-1]["step"]
        ended = gondola("train", *flags(OPTIONS, {"trainer.steps": last + 3}), folder=self.folder)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertIn("resumed after step", ended.stdout)
        self.assert_every_step_once(training.run, last + 3)


if __name__ == "__main__":
    unittest.main()
