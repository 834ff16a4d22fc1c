"""The program's own manners: commands, their help, wrong commands, one rank and several."""

import os
import subprocess
import unittest

from processes import PATIENCE
from world import World

PROGRAM = os.environ["GONDOLA_PROGRAM"]


def gondola(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=PATIENCE)


def commands():
    """Names in the table that `gondola help` prints."""
    table = gondola("help").stdout.split("commands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in table.splitlines()]


class ProgramTest(unittest.TestCase):
    def test_every_command_of_the_help_has_a_help(self):
        self.assertIn("report", commands())
        for command in commands():
            with self.subTest(command=command):
                ended = gondola(command, "--help")
                self.assertEqual(ended.returncode, 0, ended.stderr)
                self.assertIn("gondola " + command, ended.stdout)

    def test_the_version_is_printed(self):
        ended = gondola("--version")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertRegex(ended.stdout, r"^gondola \d+\.\d+\.\d+ \(\S+\)\n$")

    def test_an_unknown_command_is_64_with_the_nearest_name(self):
        ended = gondola("trian")
        self.assertEqual(ended.returncode, 64)
        self.assertEqual(len(ended.stderr.splitlines()), 1, ended.stderr)
        self.assertIn("train", ended.stderr)
        self.assertEqual(ended.stdout, "")

    def test_under_mpirun_an_answer_or_an_error_comes_once(self):
        world = World(2, PROGRAM, "--version")
        self.assertEqual(world.end()[0], 0)
        self.assertEqual(len(world.output.splitlines()), 1, world.output)

        world = World(3, PROGRAM, "trian")
        self.assertEqual(world.end()[0], 64, world.errors)
        self.assertEqual(len(world.sentences()), 1, world.errors)


if __name__ == "__main__":
    unittest.main()
