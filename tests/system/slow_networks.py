"""Two network namespaces with a cable of a known delay and rate between them."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "fault"))
from two_networks import TwoNetworks, run  # noqa: E402

LARGEST_PACKET = 9000  # bytes: fewer packets take less of the processor


@dataclass(frozen=True)
class Link:
    delay: float  # seconds, one way
    rate: float   # bits a second

    def __str__(self):
        return f"{self.delay * 1e3:g} ms, {self.rate / 1e6:g} Mbit/s"


class SlowNetworks(TwoNetworks):
    """The kernel's netem delays and limits a cable of its own; where it is missing, the program
    slow_link carries the packets."""

    def __init__(self, folder, link):
        self.link = link
        self.carrier = None
        try:
            super().__init__(folder)
            for inside in self.inside:
                run(*inside, "ip", "link", "set", "cable", "mtu", LARGEST_PACKET)
        except Exception:
            self.close()
            raise

    def connect(self):
        super().connect()
        netem = ["tc", "qdisc", "add", "dev", "cable", "root", "netem", "limit", "100000",
                 "delay", f"{self.link.delay * 1e6:g}us", "rate", f"{self.link.rate:.0f}bit"]
        if all(subprocess.run([*inside, *netem], stderr=subprocess.DEVNULL, check=False).returncode
               == 0 for inside in self.inside):
            self.means = "netem"
            return
        self.means = "slow_link"
        run(*self.inside[0], "ip", "link", "delete", "cable")  # and its other end
        self.carrier = subprocess.Popen(
            [os.environ["GONDOLA_SLOW_LINK"], *(str(holder.pid) for holder in self.holders),
             "cable", str(self.link.delay), str(self.link.rate / 8)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.carrier.stdout.readline() != "ready\n":
            raise NoSlowLink(self.carrier.communicate()[1].strip())

    def close(self):
        super().close()
        if self.carrier is not None:
            self.carrier.kill()
            self.carrier.communicate()


class NoSlowLink(Exception):
    """This machine gives neither netem nor TUN devices."""
