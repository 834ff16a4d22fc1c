#!/usr/bin/env python3
"""Each style check finds what it looks for in a small tree, and nothing in a clean one."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECKER = Path(__file__).with_name("check_style.py")
REPOSITORY = CHECKER.parents[2]


class StyleChecks(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)
        (self.root / ".clang-format").write_text((REPOSITORY / ".clang-format").read_text())

    def write(self, name, text, mode=0o644):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def run_check(self, check):
        run = subprocess.run([sys.executable, str(CHECKER), "--root", str(self.root), check],
                             capture_output=True, text=True)
        self.assertEqual("", run.stderr)
        if run.returncode == 77:
            self.skipTest(run.stdout.strip())
        self.assertEqual(1 if run.stdout else 0, run.returncode)
        return run.stdout

    def test_the_arrow_allows_the_own_folder_and_those_to_the_left(self):
        self.write("trainer/a.cpp", '#include "trainer/b.hpp"\n#include "data/c.hpp"\n#include <torch/types.h>\n')
        self.assertEqual("", self.run_check("arrow"))

    def test_quoted_sentences_stand_in_the_sources(self):
        self.write("data/a.cpp", 'fail("the disk is "\n     "full: make room");\n')
        self.write("docs/troubleshooting.md", "| `is full: make room` | why | what |\n")
        self.assertEqual("", self.run_check("sentences"))
        self.write("docs/troubleshooting.md", "| `is empty` | why | what |\n| seen `x` | why |\n")
        found = self.run_check("sentences")
        self.assertIn('troubleshooting.md:1: no source says "is empty"', found)
        self.assertEqual(1, len(found.splitlines()))

    def test_the_arrow_refuses_a_folder_to_the_right(self):
        self.write("data/a.cpp", '#include <vector>\n#include "trainer/b.hpp"\n')
        self.assertIn("data/a.cpp:2: data includes trainer/b.hpp", self.run_check("arrow"))

    def test_the_arrow_refuses_torch_and_mpi_where_they_are_not_linked(self):
        self.write("configs/a.hpp", "#include <mpi.h>\n")
        self.write("monitoring/a.hpp", "#include <torch/types.h>\n")
        found = self.run_check("arrow")
        self.assertIn("configs/a.hpp:1", found)
        self.assertIn("monitoring/a.hpp:1", found)

    def test_the_arrow_refuses_an_include_relative_to_its_file(self):
        self.write("data/a.cpp", '#include "b.hpp"\n')
        self.assertIn('data/a.cpp:1: "b.hpp" is not named from the root', self.run_check("arrow"))

    def test_torch_torch_h_is_for_cpp_files(self):
        self.write("trainer/a.cpp", "#include <torch/torch.h>\n")
        self.assertEqual("", self.run_check("headers"))
        self.write("trainer/a.hpp", "#include <torch/torch.h>\n")
        self.assertIn("trainer/a.hpp:1", self.run_check("headers"))

    def test_the_format_check_names_the_file_and_the_line(self):
        self.write("tests/a.cpp", "int a = 0;\n")
        self.assertEqual("", self.run_check("format"))
        self.write("tests/a.cpp", "int a = 0;\nint   b=1 ;\n")
        self.assertIn("tests/a.cpp:2: not formatted", self.run_check("format"))

    def test_a_shell_script_must_parse_and_be_executable(self):
        self.write("launch/a.sh", "#!/bin/bash\necho a\n", 0o755)
        self.assertEqual("", self.run_check("shell"))
        self.write("launch/a.sh", "#!/bin/bash\nif true; then\n")
        found = self.run_check("shell")
        self.assertIn("launch/a.sh: does not parse", found)
        self.assertIn("launch/a.sh: is not executable", found)


if __name__ == "__main__":
    unittest.main()
