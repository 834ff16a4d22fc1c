"""An import dies by SIGKILL again and again: no file under a final name is ever unfinished, what was
finished is kept, and the last start makes the bytes of an undisturbed import.  GONDOLA_KILLS says
how often."""

import hashlib
import os
import random
import subprocess
import time
import unittest

from training import PROGRAM, TrainingTest, gondola, saw, write_idx

KILLS = int(os.environ["GONDOLA_KILLS"])
IMPORT = ["import", "idx", "--input", ".", "--output", "out/set.h5", "--size", "64",
          "--shard-images", "2000", "--jobs", "2"]


def digests(folder):
    """The SHA-256 of each finished file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((folder / "out").glob("*.h5"))}


class ImportKillTest(TrainingTest):
    def test_a_killed_import_goes_on_and_ends_with_the_bytes_of_an_undisturbed_one(self):
        write_idx(self.folder, train=20000, test=3000)
        start = time.monotonic()
        ended = gondola(*IMPORT, folder=self.folder)
        seconds = time.monotonic() - start
        self.assertEqual(ended.returncode, 0, ended.stderr)
        undisturbed = digests(self.folder)
        self.assertEqual(len(undisturbed), 12)
        (self.folder / "out").rename(self.folder / "undisturbed")

        cut_off, kept = 0, 0
        for _ in range(KILLS):
            process = subprocess.Popen([PROGRAM, *IMPORT], cwd=self.folder,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(seconds * random.uniform(0.05, 0.6))
            process.kill()
            cut_off += process.wait() != 0
            finished = digests(self.folder)
            self.assertEqual({**undisturbed, **finished}, undisturbed)
            if len(finished) == len(undisturbed):  # it was done: begin again
                for path in (self.folder / "out").iterdir():
                    path.unlink()
            kept = max(kept, len(finished))
        self.assertGreater(cut_off, 0)

        ended = gondola(*IMPORT, folder=self.folder)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertEqual(digests(self.folder), undisturbed)
        self.assertEqual(list((self.folder / "out").glob("*.partial-*")), [])
        self.assertEqual(len(list((self.folder / "out").glob("*.png"))), 1)
        saw(f"{KILLS} starts, {cut_off} killed with up to {kept} of 12 files finished; the last one "
            "made the bytes of an undisturbed import")


if __name__ == "__main__":
    unittest.main()
