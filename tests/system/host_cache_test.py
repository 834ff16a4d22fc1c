"""Where the images of a run are kept: one copy a machine, which no killed rank leaves behind."""

import os
import re
import signal
import subprocess
import time
import unittest
from pathlib import Path

from processes import go_on, halt
from training import DECODERS, TINY, Training, TrainingTest, flags, gondola, losses, saw

OPTIONS = {**TINY, **DECODERS["siren"], "data.cache": "host", "data.shuffle": "full"}
IMAGES = 60000
COPY = IMAGES * 28 * 28
WARM = 40  # steps, after which a process has the memory that it needs


def image_memory(pid):
    """Bytes of the shared images that count as this process's own part."""
    total = 0
    inside = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = "gondola-images" in line
        elif inside and line.startswith("Pss:"):
            total += 1024 * int(line.split()[1])
    return total


def anonymous_memory(pid):
    found = re.search(r"^Anonymous:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    return 1024 * int(found[1])


class HostCacheTest(TrainingTest):
    def make_images(self, count):
        raw = self.folder / "raw"
        raw.mkdir()
        pixels = os.urandom(count * 28 * 28)
        for part, images in (("train", count), ("t10k", 10)):
            (raw / f"{part}-images-idx3-ubyte").write_bytes(
                (0x803).to_bytes(4, "big") + b"".join(n.to_bytes(4, "big") for n in (images, 28, 28))
                + pixels[:images * 28 * 28])
            (raw / f"{part}-labels-idx1-ubyte").write_bytes(
                (0x801).to_bytes(4, "big") + images.to_bytes(4, "big") + bytes(images))
        made = gondola("import", "idx", "--input", raw, "--output", self.folder / "images.h5")
        self.assertEqual(made.returncode, 0, made.stderr)

    def launch(self, ranks, **more):
        world = Training(self.folder, ranks, OPTIONS,
                         {"data.path": self.folder / "images.h5", "trainer.steps": 1000000, **more})
        self.addCleanup(world.kill)
        return world

    def test_two_ranks_hold_one_copy_and_a_killed_rank_leaves_none(self):
        self.make_images(IMAGES)
        before = set(os.listdir("/dev/shm"))
        none = self.launch(2, **{"data.cache": "none", "run.folder": "none"})
        none.run = self.folder / "none"
        none.wait_for_step(WARM)
        without = sum(anonymous_memory(pid) for pid in none.pids.values())
        none.kill()

        world = self.launch(2)
        world.wait_for_step(WARM)
        halt(world.pids.values())  # a page that a rank maps meanwhile would count for none in part
        shared = sum(image_memory(pid) for pid in world.pids.values())
        others = sum(anonymous_memory(pid) for pid in world.pids.values()) - without
        go_on(world.pids.values())
        self.assertGreater(shared, 0.99 * COPY)
        self.assertLess(shared + max(0, others), 1.2 * COPY)
        saw(f"two ranks: {shared / COPY:.3f} copies shared, {others / COPY:.3f} beside")

        world.signal(1, signal.SIGKILL)
        world.end()
        self.assertEqual(world.survivors(), [])
        left = {name for name in set(os.listdir("/dev/shm")) - before if "gondola" in name}
        self.assertEqual(left, set())

    def test_a_file_of_21_gigabytes_is_opened_and_planned_at_once(self):
        path = self.folder / "images.h5"
        subprocess.run([os.environ["GONDOLA_MAKE_DATASET"], path, "sparse"], check=True)
        self.assertGreater(os.path.getsize(path), 20e9)
        if os.stat(path).st_blocks * 512 > 1e9:
            self.skipTest("the file system makes no holes")
        start = time.monotonic()
        ended = gondola("train", "--dry-run", *flags(OPTIONS, {  # reads the first and last image
            "data.path": path, "data.cache": "auto", "trainer.epochs": 1}))
        seconds = time.monotonic() - start
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertIn("1750000 images 3x64x64", ended.stdout)
        self.assertLess(seconds, 60)  # reading it all would take minutes
        saw(f"opened and planned in {seconds:.1f} s")

    def test_the_losses_do_not_depend_on_the_cache(self):
        self.make_images(500)
        seen = {}
        for ranks, cache in ((1, "none"), (1, "host"), (2, "host"), (2, "auto")):
            run = self.train(ranks, OPTIONS, {"data.path": self.folder / "images.h5",
                                              "data.cache": cache, "trainer.steps": 12},
                             folder=self.folder / f"{ranks}-{cache}")
            self.assertIn("cache        " + ("host" if cache == "host" else "none"), run.output)
            seen[ranks, cache] = losses(run.run)
        self.assertEqual(seen[1, "none"], seen[1, "host"])
        self.assertEqual(seen[2, "host"], seen[2, "auto"])
        for key, loss in seen[1, "none"].items():
            self.assertLess(abs(seen[2, "host"][key] / loss - 1), 1e-10)


if __name__ == "__main__":
    unittest.main()
