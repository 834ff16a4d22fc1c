#!/usr/bin/env python3
"""launch/setup.sh refuses what it cannot do in one sentence; launch/run.sh turns Ctrl-C into USR1;
launch/quickstart.sh says how to go on."""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
NOBODY = 65534
# A shell has what it starts in the background ignore SIGINT, and so would the scripts.
signal.signal(signal.SIGINT, signal.default_int_handler)
PATIENCE = 180  # seconds, for what takes a moment on an idle machine

# Stands for the program under run.sh: says when it is ready, and exits with 75 on USR1, or never.
RANK = """#!/bin/bash
if [[ $2 == obedient ]]; then trap 'exit 75' USR1; else trap '' USR1; fi
touch "$3/ready.$OMPI_COMM_WORLD_RANK"
for ((i = 0; i < 6000; ++i)); do read -t 0.1 <> <(:); done
exit 3
"""


class SetUp(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.checkout = Path(folder.name)
        (self.checkout / "launch").mkdir()
        shutil.copy(REPOSITORY / "launch/setup.sh", self.checkout / "launch")

    def run_setup(self, *arguments, **options):
        run = subprocess.run([str(self.checkout / "launch/setup.sh"), *arguments],
                             capture_output=True, text=True, **options)
        return run.returncode, run.stdout + run.stderr

    def test_bad_options_are_named(self):
        for arguments, said in [(["--cdua"], "unknown option --cdua"),
                                (["--offline"], "--offline needs a value"),
                                (["--offline", "/nowhere"], "there is no such folder"),
                                (["--torch", "/nowhere"], "there is no lib/libtorch_cpu.so")]:
            code, output = self.run_setup(*arguments)
            self.assertEqual(1, code)
            self.assertIn(said, output)
            self.assertEqual(1, len(output.splitlines()))

    @unittest.skipUnless(os.geteuid() == 0, "becoming another user needs root")
    @unittest.skipIf(shutil.which("sudo"), "sudo is here, so packages would be installed")
    def test_without_root_it_prints_the_command_and_stops(self):
        # A package data base in which nothing is installed.
        tools = self.checkout / "tools"
        tools.mkdir()
        (tools / "dpkg-query").write_text("#!/bin/sh\nexit 1\n")
        (tools / "dpkg-query").chmod(0o755)
        for path in [self.checkout, self.checkout / "launch", tools]:
            path.chmod(0o777)
        code, output = self.run_setup(
            env={"PATH": f"{tools}:/usr/bin:/bin"}, user=NOBODY, group=NOBODY, extra_groups=[])
        self.assertEqual(1, code)
        self.assertRegex(output, r"apt-get install -y --no-install-recommends g\+\+ cmake .*libhdf5-dev")
        self.assertFalse((self.checkout / ".venv").exists())


class Run(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        program = self.folder / "rank.sh"
        program.write_text(RANK)
        program.chmod(0o755)
        self.environment = {**os.environ, "GONDOLA": str(program)}

    def start(self, behaviour):
        run = subprocess.Popen([str(REPOSITORY / "launch/run.sh"), "-n", "2", "--oversubscribe", "--",
                                "train", behaviour, str(self.folder)], env=self.environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(run.stderr.close)
        self.addCleanup(run.kill)
        for rank in range(2):
            self.wait_for(lambda: (self.folder / f"ready.{rank}").exists())
        return run

    def wait_for(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, f"waited for {PATIENCE} s")
            time.sleep(0.05)

    def test_ctrl_c_and_term_reach_every_rank_as_usr1(self):
        for name in ["SIGINT", "SIGTERM"]:
            for ready in self.folder.glob("ready.*"):
                ready.unlink()
            run = self.start("obedient")
            run.send_signal(getattr(signal, name))
            self.assertEqual(75, run.wait(timeout=PATIENCE), name)

    def test_a_second_ctrl_c_ends_ranks_that_do_not_listen(self):
        run = self.start("stubborn")
        run.send_signal(signal.SIGINT)
        self.assertIn("stopping after this step", run.stderr.readline())
        time.sleep(1)
        self.assertIsNone(run.poll())
        run.send_signal(signal.SIGINT)
        self.assertNotIn(run.wait(timeout=PATIENCE), [0, 3, 75])

    def test_a_program_that_cannot_be_started_is_no_success(self):
        program = self.folder / "unable.sh"
        program.write_text("#!/bin/sh\nexit 127\n")  # as the dynamic linker does
        program.chmod(0o755)
        run = subprocess.run([str(REPOSITORY / "launch/run.sh"), "-n", "1", "--", "train"],
                             env={**self.environment, "GONDOLA": str(program)}, capture_output=True)
        self.assertEqual(127, run.returncode)

    def test_a_missing_program_is_named(self):
        run = subprocess.run([str(REPOSITORY / "launch/run.sh"), "-n", "1", "--", "train"], text=True,
                             env={**os.environ, "GONDOLA": "/nowhere/gondola"}, capture_output=True)
        self.assertEqual(66, run.returncode)
        self.assertIn("/nowhere/gondola is not there", run.stderr)


class QuickStart(unittest.TestCase):
    def test_what_it_says_goes_on_is_what_it_started_and_a_resume(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        checkout = Path(folder.name)
        started = checkout / "started"
        for name, text in {"launch/setup.sh": "", "datasets/fashion-mnist-32.h5": "",
                           "launch/run.sh": f"printf '%s\\n' \"$@\" > {started}; exit 75"}.items():
            path = checkout / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
        shutil.copy(REPOSITORY / "launch/quickstart.sh", checkout / "launch")
        for options in [], ["--trainer.steps", "200", "--data.path", "my images.h5"]:
            run = subprocess.run([str(checkout / "launch/quickstart.sh"), *options],
                                 capture_output=True, text=True)
            self.assertEqual(75, run.returncode, run.stderr)
            words = shlex.split(run.stdout.splitlines()[-1])
            self.assertEqual("launch/run.sh", words[0])
            place = words.index("--resume")
            self.assertEqual("auto", words[place + 1])
            del words[place:place + 2]
            self.assertEqual(started.read_text().splitlines(), words[1:])


if __name__ == "__main__":
    unittest.main()
