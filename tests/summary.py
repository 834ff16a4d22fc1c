#!/usr/bin/env python3
"""Counts what ctest runs did: summary.py JUNIT_FILE...

A GoogleTest program counts each of its cases (once for each number of ranks it ran on), and so
does a Python test that runs with -v; another test counts once.  A program that failed without a failed case (a crash, a time-out, a failure on
another rank than 0) counts as one failure.  Prints the skipped ones by reason, the failed ones by
name, and last the line "N passed, N failed, N skipped".  Exits 1 when something failed or nothing
ran at all.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter

CASE_END = re.compile(r"^\[ {2}(?: {5}OK|FAILED |SKIPPED) \] (\S+?)(?:,.*)? \(\d+ ms\)$")
PYTHON_CASE = re.compile(r"^(test\w+) \(.*\) \.\.\. (?:(ok)|(FAIL|ERROR)|skipped ['\"](.*)['\"])$")
CASE_START = re.compile(r"^\[ RUN {6}\] ")


def cases_of(output):
    """Yields (verdict, case name, reason of a skip) for every case in `output`."""
    since_start = []
    for line in output.splitlines():
        line = line.rstrip("\r")
        if CASE_START.match(line):
            since_start = []
            continue
        python = PYTHON_CASE.match(line)
        if python:
            verdict = "OK" if python.group(2) else "FAILED" if python.group(3) else "SKIPPED"
            yield verdict, python.group(1), python.group(4) or ""
            continue
        end = CASE_END.match(line)
        if not end:
            since_start.append(line)
            continue
        verdict = line[3:10].strip()
        reason = ""
        if verdict == "SKIPPED":
            marks = [i for i, text in enumerate(since_start) if text.endswith(": Skipped")]
            reason = since_start[marks[-1] + 1] if marks and marks[-1] + 1 < len(since_start) else ""
        yield verdict, end.group(1), reason


def summarize(suite):
    passed, failed, skipped = 0, [], []
    for test in suite.iter("testcase"):
        name = test.get("name")
        output = test.findtext("system-out") or ""
        cases = list(cases_of(output))
        failed_before = len(failed)
        for verdict, case, reason in cases:
            if verdict == "OK":
                passed += 1
            elif verdict == "FAILED":
                failed.append(f"{name}: {case}")
            else:
                skipped.append(reason or "no reason given")
        if test.find("skipped") is not None and test.get("status") == "notrun":
            said = re.search(r"^SKIPPED: (.*)$", output, re.MULTILINE)
            if said:
                skipped.append(f"{name}: {said.group(1)}")
            else:
                failed.append(f"{name}: did not run")
        elif test.get("status") != "run" or test.find("failure") is not None:
            if len(failed) == failed_before:
                failed.append(f"{name}: ended badly")
        elif not cases:
            passed += 1
    return passed, failed, skipped


def main():
    passed, failed, skipped = 0, [], []
    for path in sys.argv[1:]:
        counts = summarize(ElementTree.parse(path).getroot())
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
    for reason, count in sorted(Counter(skipped).items()):
        print(f"skipped {count}: {reason}")
    for name in failed:
        print(f"failed: {name}")
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed or passed + len(skipped) == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
