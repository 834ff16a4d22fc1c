"""What a fault on one of four training ranks does to the others: the exit code, one sentence that
names the rank, nobody left behind."""

import signal
import unittest

from training import DECODERS, TINY, TrainingTest, gondola, saw, write_idx
from world import SLACK

TIMEOUT = 5  # seconds that a collective may take
OPTIONS = {**TINY, **DECODERS["siren"], "trainer.steps": 1000000,
           "parallel.timeout_seconds": TIMEOUT}
WITHIN = TIMEOUT + 10 + SLACK  # the end of all ranks


class PeerTest(TrainingTest):
    def start_training(self, *options, **kwargs):
        training = self.start(4, OPTIONS, *options, **kwargs)
        training.wait_for_step(20)
        self.assertEqual(sorted(training.pids), [0, 1, 2, 3])
        return training

    def expect(self, training, code):
        returned, seconds = training.end()
        self.assertEqual(returned, code, training.errors)
        self.assertLess(seconds, WITHIN)
        self.assertEqual(training.survivors(), [])
        return seconds

    def test_a_killed_rank_ends_all_with_137(self):
        training = self.start_training()
        training.signal(2, signal.SIGKILL)
        seconds = self.expect(training, 137)
        self.assertIn("rank 2", training.errors)  # mpirun says it
        saw(f"killed: 137 after {seconds:.1f} s")

    def test_a_stopped_rank_ends_all_with_76_and_is_named(self):
        for stopped in (0, 3):
            with self.subTest(stopped=stopped):
                training = self.start_training(run=f"stopped-{stopped}")
                training.signal(stopped, signal.SIGSTOP)
                seconds = self.expect(training, 76)
                said = self.assert_one_sentence(training.errors,
                                                f"rank {stopped} does not answer")
                saw(f"stopped: 76 after {seconds:.1f} s: {said}")
                verdict = gondola("inspect", training.run)
                self.assertEqual(verdict.returncode, 0, verdict.stderr)
                self.assertRegex(verdict.stdout,
                                 r"^collective \d+ \(\w+( of \d+ bytes)?, step \d+, phase \w+\) was "
                                 rf".*; rank {stopped} was missing and did not answer")
                saw(verdict.stdout.strip())

    def test_a_rank_that_cannot_read_its_images_ends_all_with_65_and_is_named(self):
        images = write_idx(self.folder, train=200, test=10)
        ended = gondola("import", "idx", "--input", self.folder, "--output", self.folder / "a.h5")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        training = self.start_training({"data.path": self.folder / "a.h5", "data.shuffle": "none"})
        # Without a shuffle, the last images of an epoch are the last rank's, in every epoch.
        with open(self.folder / "a.h5", "r+b") as file:
            last = file.read().find(images[191])
            self.assertGreater(last, 0)
            file.truncate(last)
        seconds = self.expect(training, 65)
        said = self.assert_one_sentence(training.errors, "gondola: rank 3: ", "a.h5")
        saw(f"cut dataset: 65 after {seconds:.1f} s: {said}")


if __name__ == "__main__":
    unittest.main()
