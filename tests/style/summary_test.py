#!/usr/bin/env python3
"""tests/summary.py counts cases, skips with their reasons, and programs that ended badly."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from xml.sax.saxutils import escape

SUMMARY = Path(__file__).resolve().parents[1] / "summary.py"

GTEST = """[ RUN      ] Order.is_a_permutation
[       OK ] Order.is_a_permutation (3 ms)
[ RUN      ] Nccl.sums
tests/parallel/nccl_test.cpp:12: Skipped
no GPU here
[  SKIPPED ] Nccl.sums (0 ms)
[ RUN      ] Sizes/Order.wraps/1
order_test.cpp:9: Failure
[  FAILED  ] Sizes/Order.wraps/1, where GetParam() = 7 (1 ms)
[  FAILED  ] Sizes/Order.wraps/1, where GetParam() = 7
"""


PYTHON = """test_a_thing (__main__.Things.test_a_thing) ... ok
test_as_root (__main__.Things.test_as_root) ... skipped 'needs root'
test_broken (__main__.Things.test_broken) ... FAIL
"""


def testcase(name, status, output="", mark=""):
    return f'<testcase name="{name}" status="{status}">{mark}<system-out>{escape(output)}</system-out></testcase>'


class Summary(unittest.TestCase):
    def summarize(self, *testcases):
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write("<testsuite>" + "".join(testcases) + "</testsuite>")
            file.flush()
            run = subprocess.run([sys.executable, str(SUMMARY), file.name], capture_output=True,
                                 text=True)
        self.assertEqual("", run.stderr)
        return run.returncode, run.stdout.splitlines()

    def test_each_case_of_a_program_counts_and_a_skip_says_why(self):
        code, lines = self.summarize(testcase("order", "fail", GTEST, "<failure/>"),
                                     testcase("style", "run"))
        self.assertEqual(1, code)
        self.assertEqual(["skipped 1: no GPU here", "failed: order: Sizes/Order.wraps/1",
                          "2 passed, 1 failed, 1 skipped"], lines)

    def test_a_program_that_fails_without_a_failed_case_is_one_failure(self):
        passing = GTEST.splitlines(keepends=True)[:2]
        code, lines = self.summarize(testcase("order.ranks2", "fail", "".join(passing), "<failure/>"))
        self.assertEqual(1, code)
        self.assertEqual("1 passed, 1 failed, 0 skipped", lines[-1])

    def test_a_skipped_script_is_not_a_failure_but_a_missing_program_is(self):
        skipped = testcase("slurm", "notrun", "SKIPPED: no slurmctld\n", "<skipped/>")
        self.assertEqual((0, ["skipped 1: slurm: no slurmctld", "0 passed, 0 failed, 1 skipped"]),
                         self.summarize(skipped))
        missing = testcase("order", "notrun", "Unable to find executable", "<skipped/>")
        self.assertEqual(1, self.summarize(missing)[0])

    def test_the_cases_of_a_python_test_count_too(self):
        self.assertEqual((1, ["skipped 1: needs root", "failed: things: test_broken",
                              "1 passed, 1 failed, 1 skipped"]),
                         self.summarize(testcase("things", "fail", PYTHON, "<failure/>")))

    def test_several_runs_are_counted_together(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for name, case in (("a", testcase("order", "fail", GTEST, "<failure/>")),
                               ("b", testcase("style", "run"))):
                paths.append(Path(folder) / name)
                paths[-1].write_text(f"<testsuite>{case}</testsuite>")
            run = subprocess.run([sys.executable, str(SUMMARY), *map(str, paths)],
                                 capture_output=True, text=True)
        self.assertEqual((1, "2 passed, 1 failed, 1 skipped"),
                         (run.returncode, run.stdout.splitlines()[-1]))

    def test_no_test_at_all_is_a_failure(self):
        self.assertEqual((1, ["0 passed, 0 failed, 0 skipped"]), self.summarize())


if __name__ == "__main__":
    unittest.main()
