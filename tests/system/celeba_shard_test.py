"""Faces of CelebA in several shard files, trained on over ranks: the same run whatever their number."""

import os
import unittest
from pathlib import Path

from training import TrainingTest, gondola, losses, saw

ARCHIVE = Path(os.environ.get("GONDOLA_SHARED") or "/nowhere",
               "data", "celeba-aligned-89x109-000001-010000.tar.xz")
STEPS = 6
OPTIONS = {
    "trainer.batch_size": 16, "trainer.steps": STEPS, "trainer.precision": "float64",
    "model.decoder": "conv", "model.filters": 8, "latent.size": 16,
    "optimizer.learning_rate": 1e-4, "parallel.threads": 1, "parallel.timeout_seconds": 60,
    "monitoring.log_every": 1, "monitoring.samples_every": 0, "evaluation.every_steps": 0,
    "checkpoint.every_steps": 0, "data.ledger": "ledger.csv",
}


@unittest.skipUnless(ARCHIVE.exists(), f"no CelebA: {ARCHIVE} is not there (GONDOLA_SHARED)")
class CelebaShardTest(TrainingTest):
    def test_two_ranks_train_on_the_faces_of_many_shards_as_one_does(self):
        made = gondola("import", "celeba", "--input", ARCHIVE, "--output", self.folder / "faces.h5",
                       "--size", "64", "--limit", "300", "--shard-images", "110", "--jobs", "2")
        self.assertEqual(made.returncode, 0, made.stderr)
        shards = sorted(self.folder.glob("faces-train-*.h5"))
        self.assertEqual([shard.name for shard in shards],
                         [f"faces-train-0000{i}-of-00003.h5" for i in range(3)])
        data = {"data.path": self.folder / "faces-train-*.h5"}

        runs = {ranks: self.train(ranks, OPTIONS, data, folder=self.folder / f"on-{ranks}")
                for ranks in (1, 2)}
        self.assertIn("300 images 3x64x64", runs[2].output)
        self.assertEqual(sorted(step for kind, step in losses(runs[1].run) if kind == "train"),
                         list(range(1, STEPS + 1)))
        worst = self.assert_same_losses(runs[2].run, runs[1].run, 1e-10)

        ledgers = [(self.folder / f"on-{ranks}" / "ledger.csv").read_text() for ranks in (1, 2)]
        self.assertEqual(ledgers[0], ledgers[1])
        ids = [int(line.rsplit(",", 1)[1]) for line in ledgers[0].splitlines()
               if line[:1].isdigit()]
        self.assertEqual(len(ids), STEPS * 16)
        self.assertEqual(len(set(ids)), STEPS * 16)  # of one epoch
        self.assertEqual({id // 110 for id in ids}, {0, 1, 2})  # from every shard
        saw(f"2 ranks against 1 on CelebA: losses differ by {worst:.1e}")


if __name__ == "__main__":
    unittest.main()
