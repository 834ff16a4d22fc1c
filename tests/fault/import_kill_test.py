"""An import dies by SIGKILL again and again: no file under a final name is ever unfinished, what was
finished is kept, and the last start makes the bytes of an undisturbed import.  GONDOLA_KILLS says
how often."""

import hashlib
import os
import random
import subprocess
import unittest

from processes import go_on, halt, wait_for
from training import PROGRAM, TrainingTest, gondola, saw, write_idx

KILLS = int(os.environ["GONDOLA_KILLS"])
IMPORT = ["import", "idx", "--input", ".", "--output", "out/set.h5", "--size", "64",
          "--shard-images", "2000", "--jobs", "2"]
FILES = 12


def digests(folder):
    """The SHA-256 of each finished file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((folder / "out").glob("*.h5"))}


class ImportKillTest(TrainingTest):
    def finished(self):
        return len(list((self.folder / "out").glob("*.h5")))

    def unfinished(self):
        return list((self.folder / "out").glob("*.partial-*"))

    def halted_in_writing(self, process):
        """Whether a file is still being written when the process stands still."""
        if not self.unfinished():
            return False
        halt([process.pid])
        if self.unfinished():
            return True
        go_on([process.pid])
        return False

    def start_and_kill(self):
        """Kills an import while it writes a file, after some more are finished; returns whether it
        had one left to write."""
        wanted = min(self.finished() + random.randrange(4), FILES - 1)
        process = subprocess.Popen([PROGRAM, *IMPORT], cwd=self.folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        wait_for(lambda: process.poll() is not None or self.finished() >= wanted,
                 f"{wanted} files are finished")
        wait_for(lambda: process.poll() is not None or self.halted_in_writing(process),
                 "a file is written", every=0.0005)
        process.kill()
        return process.wait() != 0

    def test_a_killed_import_goes_on_and_ends_with_the_bytes_of_an_undisturbed_one(self):
        write_idx(self.folder, train=20000, test=3000)
        ended = gondola(*IMPORT, folder=self.folder)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        undisturbed = digests(self.folder)
        self.assertEqual(len(undisturbed), FILES)
        (self.folder / "out").rename(self.folder / "undisturbed")

        cut_off, kept = 0, 0
        for _ in range(KILLS):
            cut_off += self.start_and_kill()
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
        saw(f"{KILLS} starts, {cut_off} killed with up to {kept} of {FILES} files finished; the last one "
            "made the bytes of an undisturbed import")


if __name__ == "__main__":
    unittest.main()
