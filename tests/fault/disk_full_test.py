"""The disk fills up while a checkpoint is written: exit 74, the older checkpoints are whole, and the
run goes on from them once there is space.  Mounts a small disk that only this test sees."""

import subprocess
import unittest

import namespaces
from training import (DECODERS, TINY, TrainingTest, checkpoints, digest, gondola, losses, saw,
                      write_idx)

OPTIONS = {**TINY, **DECODERS["siren"], "data.path": "synthetic:64x1x8x8", "trainer.batch_size": 8,
           "model.hidden": 256, "model.layers": 3, "run.resume": "auto",
           "checkpoint.every_steps": 1, "checkpoint.keep": 100}


def mount(folder, *options):
    subprocess.run(["mount", "-t", "tmpfs", *options, "gondola-test", str(folder)], check=True)


class DiskFullTest(TrainingTest):
    def test_a_full_disk_ends_with_74_and_the_run_goes_on_from_the_last_whole_checkpoint(self):
        disk = self.folder / "disk"
        disk.mkdir()
        mount(disk, "-o", "size=16m")
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(disk)], check=True)

        full = self.train(2, OPTIONS, {"trainer.steps": 100}, folder=disk, code=74)
        said = self.assert_one_sentence(full.errors, "rank 0", "No space left on device")
        names = [path.name for path in checkpoints(full.run)]
        self.assertEqual(names, [f"step-{i + 1:08}" for i in range(len(names))])
        self.assertGreater(len(names), 1)
        self.assertEqual([p.name for p in (full.run / "checkpoints").glob(".step-*")], [])

        mount(disk, "-o", "remount,size=128m")
        end = {"trainer.steps": len(names) + 4}
        resumed = self.train(2, OPTIONS, end, folder=disk)
        self.assertIn(f"resumed after step {len(names)}", resumed.output)
        self.assertNotIn("passed over", resumed.errors)
        reference = self.train(2, OPTIONS, end, folder=self.folder / "undisturbed").run
        self.assert_every_step_once(resumed.run, len(names) + 4)
        self.assertEqual(losses(resumed.run), losses(reference))
        self.assertEqual(digest(resumed.run), digest(reference))
        saw(f"full after {len(names)} checkpoints: {said}; resumed after step {len(names)}, losses "
            "and the last checkpoint's bytes are those of the undisturbed run")

    def test_an_import_that_meets_a_full_disk_leaves_what_it_finished_and_goes_on(self):
        write_idx(self.folder, train=2000, test=10)
        disk = self.folder / "disk"
        disk.mkdir()
        mount(disk, "-o", "size=1m")
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(disk)], check=True)
        command = ["import", "idx", "--input", ".", "--output", "disk/a.h5", "--shard-images", "500",
                   "--jobs", "1"]

        full = gondola(*command, folder=self.folder)
        self.assertEqual(full.returncode, 74, full.stderr)
        said = self.assert_one_sentence(full.stderr, "disk")
        finished = sorted(path.name for path in disk.iterdir())
        self.assertEqual(finished, [f"a-train-{i:05}-of-00004.h5" for i in range(len(finished))])
        self.assertGreater(len(finished), 0)

        mount(disk, "-o", "remount,size=8m")
        ended = gondola(*command, folder=self.folder)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertEqual(ended.stdout.count("was complete already"), len(finished), ended.stdout)
        saw(f"{said}; {len(finished)} of 5 files were kept")


if __name__ == "__main__":
    namespaces.need("mounting a small disk")
    unittest.main()
