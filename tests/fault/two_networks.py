"""Two network namespaces with a cable between them, as if they were two machines for Open MPI."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import namespaces

NAMES = ("gondola-a", "gondola-b")
ADDRESSES = ("10.99.0.1", "10.99.0.2")
# mpirun learns of a dead connection to the other machine's daemon from TCP alone, by default after
# a quarter of an hour or more: here after seconds of silence, between probes, and probes, or where
# something was sent, after so many retries (about 25 seconds).
KEEPALIVE = {"time": 15, "intvl": 2, "probes": 2}
RETRIES = 6


def why_not():
    """A reason why there can be no two networks here, or None."""
    for tool in ("ip", "nsenter", "unshare"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed (Debian: iproute2, util-linux)"
    if not namespaces.are_own():
        return "namespaces need root or user namespaces"
    if subprocess.run(["unshare", "--net", "--uts", "true"], stderr=subprocess.DEVNULL,
                      check=False).returncode != 0:
        return "the kernel gives no network namespaces"
    return None


def run(*command):
    subprocess.run(list(map(str, command)), check=True)


class TwoNetworks:
    """REQUIRES a mount namespace of our own: /etc/hosts gets both names."""

    def __init__(self, folder):
        self.holders = []
        for name in NAMES:
            self.holders.append(subprocess.Popen(
                ["unshare", "--net", "--uts", "sh", "-c", f"hostname {name}; echo; exec sleep 600"],
                stdout=subprocess.PIPE))
            self.holders[-1].stdout.readline()  # the namespaces are there
        self.inside = [["nsenter", "--target", str(holder.pid), "--net", "--uts"]
                       for holder in self.holders]
        self.connect()
        for inside, address in zip(self.inside, ADDRESSES):
            run(*inside, "ip", "address", "add", f"{address}/24", "dev", "cable")
            run(*inside, "ip", "link", "set", "cable", "up")
            run(*inside, "ip", "link", "set", "lo", "up")
            run(*inside, "sh", "-c", f"echo {RETRIES} >/proc/sys/net/ipv4/tcp_retries2")
        hosts = folder / "hosts"
        hosts.write_text(Path("/etc/hosts").read_text() + "".join(
            f"{address} {name}\n" for address, name in zip(ADDRESSES, NAMES)))
        run("mount", "--bind", hosts, "/etc/hosts")
        self.agent = folder / "agent.sh"  # stands in for ssh: HOST COMMAND
        self.agent.write_text(f'#!/bin/sh\nshift\nexec {" ".join(self.inside[1])} sh -c "$*"\n')
        self.agent.chmod(0o755)

    def connect(self):
        """A device "cable" in each namespace: what enters the one comes out of the other."""
        run(*self.inside[0], "ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable",
            "netns", self.holders[1].pid)

    def launcher(self, mpiexec, each=2):
        """mpirun on the first machine, with so many ranks on each."""
        settings = {"plm_rsh_agent": self.agent, "btl": "tcp,vader,self",
                    "btl_tcp_if_include": "10.99.0.0/24", "oob_tcp_if_include": "10.99.0.0/24",
                    **{f"oob_tcp_keepalive_{name}": value for name, value in KEEPALIVE.items()}}
        return [*self.inside[0], *mpiexec, "--host", ",".join(f"{a}:{each}" for a in ADDRESSES),
                *(word for name, value in settings.items() for word in ("--mca", name, str(value)))]

    def cut(self):
        run(*self.inside[0], "ip", "link", "set", "cable", "down")

    def close(self):
        subprocess.run(["umount", "--lazy", "/etc/hosts"], check=False)
        for holder in self.holders:
            holder.send_signal(signal.SIGKILL)
            holder.communicate()
        time.sleep(0.1)
