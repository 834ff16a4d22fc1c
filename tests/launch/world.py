"""Starts programs under mpirun and sees what becomes of their processes."""

import os
import re
import signal
import subprocess
import time

MPIEXEC = [os.environ["GONDOLA_MPIEXEC"], *os.environ["GONDOLA_MPIEXEC_FLAGS"].split()]


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
        time.sleep(0.5)  # some steps

    def signal(self, rank, number):
        os.kill(self.pids[rank], number)

    def end(self, timeout=60):
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

    def survivors(self, within=5.0):
        """Ranks whose process is still there after some seconds."""
        last = time.monotonic() + within
        while alive := [r for r, pid in self.pids.items() if os.path.exists(f"/proc/{pid}")]:
            if time.monotonic() > last:
                break
            time.sleep(0.05)
        return alive

    def kill(self):
        for pid in [*self.pids.values(), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
