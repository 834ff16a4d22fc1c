"""A checkpoint that was damaged after it was written is refused by name, and the next older one is
used."""

import shutil
import unittest

from training import (DECODERS, TINY, TrainingTest, checkpoints, flags, gondola, losses, saw,
                      sentences)

OPTIONS = {**TINY, **DECODERS["conv"], "run.folder": "run", "checkpoint.every_steps": 2,
           "checkpoint.keep": 9}


def truncate(checkpoint):
    data = (checkpoint / "state.h5").read_bytes()
    (checkpoint / "state.h5").write_bytes(data[:len(data) // 2])


def flip_a_bit(checkpoint):
    data = bytearray((checkpoint / "state.h5").read_bytes())
    data[len(data) // 2] ^= 0x10
    (checkpoint / "state.h5").write_bytes(data)


def empty(checkpoint):
    (checkpoint / "state.h5").write_bytes(b"")


def lose_mark(checkpoint):
    (checkpoint / "COMPLETE").unlink()


def lose_state(checkpoint):
    (checkpoint / "state.h5").unlink()


class CheckpointDamageTest(TrainingTest):
    def gondola_train(self, folder, steps, *more):
        return gondola("train", *flags(OPTIONS, {"trainer.steps": steps}), *more, folder=folder)

    def setUp(self):
        super().setUp()
        self.original = self.folder / "original"
        self.original.mkdir()
        ended = self.gondola_train(self.original, 6)
        self.assertEqual(ended.returncode, 0, ended.stderr)

    def copy(self, name):
        shutil.copytree(self.original, self.folder / name, symlinks=True)
        return self.folder / name

    def test_the_next_older_checkpoint_is_used_and_the_damaged_one_is_named(self):
        reference = self.copy("undisturbed")
        self.assertEqual(self.gondola_train(reference, 9, "--resume", "auto").returncode, 0)
        for damage in (truncate, flip_a_bit, empty, lose_mark, lose_state):
            with self.subTest(damage=damage.__name__):
                folder = self.copy(damage.__name__)
                damage(checkpoints(folder / "run")[-1])
                ended = self.gondola_train(folder, 9, "--resume", "auto")
                self.assertEqual(ended.returncode, 0, ended.stderr)
                said = self.assert_one_sentence(ended.stderr, "passed over", "step-00000006")
                self.assertIn("resumed after step 4", ended.stdout)
                self.assertEqual(losses(folder / "run")["train", 9],
                                 losses(reference / "run")["train", 9])
                saw(f"{damage.__name__}: {said}")

    def test_where_all_are_damaged_nothing_is_trained(self):
        for step in checkpoints(self.original / "run"):
            flip_a_bit(step)
        before = (self.original / "run/metrics.jsonl").read_bytes()
        ended = self.gondola_train(self.original, 9, "--resume", "auto")
        self.assertEqual(ended.returncode, 65, ended.stdout)
        said = sentences(ended.stderr)
        self.assertEqual(len([s for s in said if "passed over" not in s]), 1, ended.stderr)
        self.assertIn("step-00000006", said[-1])
        self.assertEqual((self.original / "run/metrics.jsonl").read_bytes(), before)
        saw("all damaged: " + said[-1])

    def test_a_damaged_checkpoint_that_is_asked_for_by_name_is_refused(self):
        checkpoint = checkpoints(self.original / "run")[0]
        flip_a_bit(checkpoint)
        ended = self.gondola_train(self.original, 9, "--resume", checkpoint)
        self.assertEqual(ended.returncode, 65, ended.stdout)
        self.assert_one_sentence(ended.stderr, str(checkpoint), "damaged")
        ended = gondola("eval", checkpoint)
        self.assertEqual(ended.returncode, 65, ended.stdout)
        self.assert_one_sentence(ended.stderr, str(checkpoint), "damaged")


if __name__ == "__main__":
    unittest.main()
