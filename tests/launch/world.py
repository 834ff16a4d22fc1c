"""Starts programs under mpirun and sees what becomes of their processes."""

import os
import re
import signal
import subprocess
import time

from processes import PATIENCE, is_running, send

MPIEXEC = [os.environ["GONDOLA_MPIEXEC"], *os.environ["GONDOLA_MPIEXEC_FLAGS"].split()]
# Seconds on top of those of a contract: the machine may have much else to do.
SLACK = 20


class World:
    """A program under mpirun; its standard output and error are kept apart."""

    def __init__(self, ranks, *command):
        self.ranks = ranks
        self.pids = {}
        self.output = ""
        self.process = subprocess.Popen(
            [*MPIEXEC, "-n", str(ranks), *command],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")

    def wait_until_running(self):
        """Reads the line of each rank that names its process."""
        while len(self.pids) < self.ranks:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError("the world ended early:\n" + self.process.stderr.read())
            self.output += line
            if found := re.match(r"rank (\d+) .* pid (\d+) ", line):
                self.pids[int(found[1])] = int(found[2])

    def signal(self, rank, number):
        os.kill(self.pids[rank], number)

    def end(self, timeout=PATIENCE):
        """Waits for mpirun; returns its exit code and the seconds that took."""
        start = time.monotonic()
        try:
            output, self.errors = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.output += output
        return self.process.returncode, time.monotonic() - start

    def sentences(self):
        """What the program itself said on standard error."""
        return [line for line in self.errors.splitlines() if line.startswith("gondola: ")]

    def survivors(self, within=SLACK):
        """Ranks whose process is still there after some seconds."""
        last = time.monotonic() + within
        while alive := [r for r, pid in self.pids.items() if is_running(pid)]:
            if time.monotonic() > last:
                break
            time.sleep(0.05)
        return alive

    def kill(self):
        send(signal.SIGKILL, [*self.pids.values(), self.process.pid])
        self.process.wait()
        self.survivors()  # they may write to their folder until they are gone
