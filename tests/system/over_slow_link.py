#!/usr/bin/env python3
"""Runs a gondola command on two machines that this script makes, with a slow cable between them.

The machines are network namespaces of this one, and the ranks share its cores: that is how the figures
over networks in docs/scaling.md were made. GONDOLA names another program than that of the build.

    tests/system/over_slow_link.py --milliseconds 1 --mbit 200 --each 4 -- bench allreduce
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
BUILD = TESTS.parent / "build/release"
sys.path[:0] = [str(TESTS / "launch"), str(TESTS / "fault")]
PROGRAM = os.environ.get("GONDOLA", BUILD / "bin/gondola")
os.environ.setdefault("GONDOLA_SLOW_LINK", str(BUILD / "tests/bin/slow_link"))

import namespaces  # noqa: E402
from slow_networks import Link, NoSlowLink, SlowNetworks  # noqa: E402
from two_networks import why_not  # noqa: E402

UNAVAILABLE = 69


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--milliseconds", type=float, default=1, metavar="T",
                        help="that the cable delays, one way (default: 1)")
    parser.add_argument("--mbit", type=float, default=200, metavar="R",
                        help="that it carries a second (default: 200)")
    parser.add_argument("--each", type=int, default=1, metavar="N",
                        help="ranks on each machine (default: 1)")
    parser.add_argument("word", nargs="+", help="gondola command and its options, after --")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    namespaces.need("making networks")
    if reason := why_not():
        sys.exit(f"over_slow_link.py: {reason}")
    mpiexec = ["mpirun", "--oversubscribe", "--bind-to", "none"]
    if os.geteuid() == 0:
        mpiexec.append("--allow-run-as-root")
    link = Link(arguments.milliseconds * 1e-3, arguments.mbit * 1e6)
    with tempfile.TemporaryDirectory(prefix="gondola-link-") as folder:
        try:
            networks = SlowNetworks(Path(folder), link)
        except NoSlowLink as lack:
            print(f"over_slow_link.py: no slow links: {lack}", file=sys.stderr)
            return UNAVAILABLE
        try:
            print(f"{arguments.each} ranks on each side of {link} by {networks.means}",
                  file=sys.stderr)
            return subprocess.run(
                [*networks.launcher(mpiexec, each=arguments.each), "-n", str(2 * arguments.each),
                 PROGRAM, *arguments.word], check=False).returncode
        finally:
            networks.close()


if __name__ == "__main__":
    sys.exit(main())
