"""data.stage: shards are copied to a folder of the machine, once, and its ranks train on the copies."""

import os
import re
import subprocess
import unittest

from training import DECODERS, TINY, TrainingTest, gondola, losses, write_idx

STEPS = 5
OPTIONS = {**TINY, **DECODERS["siren"], "trainer.steps": STEPS}


class StagedShardTest(TrainingTest):
    def setUp(self):
        super().setUp()
        raw = self.folder / "raw"
        raw.mkdir()
        write_idx(raw, 130, 20)
        made = gondola("import", "idx", "--input", raw, "--output", self.folder / "far" / "it.h5",
                       "--shard-images", "50")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.data = {**OPTIONS, "data.path": self.folder / "far" / "it-*.h5"}
        self.near = self.folder / "near"
        self.staged = {**self.data, "data.stage": self.near}

    def copied(self, training):
        """How many files a run says that it copied, of how many."""
        found = re.findall(r"^stage .* (\d+) of (\d+) files copied", training.output, re.M)
        self.assertEqual(len(found), 1, training.output)
        return tuple(map(int, found[0]))

    def copies(self):
        return sorted(self.near.glob("*.h5"))

    def test_copies_are_made_once_and_train_as_their_originals(self):
        plain = self.train(1, self.data, folder=self.folder / "plain")
        first = self.train(2, self.staged, folder=self.folder / "first")
        self.assertEqual(self.copied(first), (4, 4))
        self.assertEqual(len(self.copies()), 4)
        self.assert_same_losses(first.run, plain.run, 1e-9)
        again = self.train(1, self.staged, folder=self.folder / "again")
        self.assertEqual(self.copied(again), (0, 4))
        self.assertEqual(losses(again.run), losses(plain.run))
        self.assertIn(str(self.folder / "far"), (again.run / "config.ini").read_text())

        damaged = self.copies()[1]
        whole = damaged.read_bytes()
        damaged.write_bytes(whole[:-9] + b"x" + whole[-8:])
        mended = self.train(2, self.staged, folder=self.folder / "mended")
        self.assertEqual(self.copied(mended), (1, 4))
        self.assertEqual(damaged.read_bytes(), whole)

    def test_a_missing_shard_and_a_bad_folder_end_all_ranks_with_a_sentence(self):
        gone = {**self.staged, "data.path": f"{self.folder}/far/it-*.h5,{self.folder}/gone.h5"}
        ended = self.train(2, gone, folder=self.folder / "gone", code=66)
        self.assert_one_sentence(ended.errors, "gone.h5")
        (self.folder / "file").write_text("no folder")
        bad = {**self.data, "data.stage": self.folder / "file" / "x"}
        ended = self.train(2, bad, folder=self.folder / "bad", code=74)
        self.assert_one_sentence(ended.errors, "data.stage", "file/x")

    @unittest.skipIf(os.geteuid() != 0, "mounting a small disk needs root")
    def test_a_full_disk_ends_all_ranks_with_a_sentence(self):
        self.near.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", self.near],
                                 capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest("cannot mount a small disk: " + mounted.stderr)
        self.addCleanup(subprocess.run, ["umount", "-l", self.near], check=True)
        ended = self.train(2, self.staged, folder=self.folder / "full", code=74)
        self.assert_one_sentence(ended.errors, "cannot copy", "data.stage", " left")
        self.assertEqual([path.name for path in self.near.iterdir() if ".partial-" in path.name], [])


if __name__ == "__main__":
    unittest.main()
