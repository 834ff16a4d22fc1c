#!/usr/bin/env python3
"""What configuring says about the libtorch it is given.

The folders made here hold just what cmake/GondolaTorch.cmake looks at, in a project of their own.
"""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

PROJECT = f"""
cmake_minimum_required(VERSION 3.25)
project(probe CXX)
list(APPEND CMAKE_MODULE_PATH "{REPOSITORY}/cmake")
find_package(Threads REQUIRED)
if(NOT DEFINED GONDOLA_CUDA)
  set(GONDOLA_CUDA AUTO)
endif()
include(GondolaTorch)
"""

# The one function that the ABI check links against.
C10 = """
#include <cstdint>
#include <string>
namespace c10::detail {
void torchCheckFail(const char*, const char*, std::uint32_t, const std::string&) {}
}
"""


class Configure(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "CMakeLists.txt").write_text(PROJECT)

    def make_libtorch(self, cxx11_abi=1, headers=True):
        torch = self.folder / "libtorch"
        (torch / "lib").mkdir(parents=True)
        (self.folder / "c10.cpp").write_text(C10)
        for name in ["libc10.so", "libtorch_cpu.so"]:
            subprocess.run(["g++", f"-D_GLIBCXX_USE_CXX11_ABI={cxx11_abi}", "-shared", "-fPIC",
                            str(self.folder / "c10.cpp"), "-o", str(torch / "lib" / name)], check=True)
        if headers:
            header = torch / "include/torch/csrc/api/include/torch/torch.h"
            header.parent.mkdir(parents=True)
            header.touch()
        return torch

    def configure(self, *arguments):
        environment = {name: value for name, value in os.environ.items()
                       if name not in {"CMAKE_PREFIX_PATH", "Torch_DIR", "TORCH_ROOT"}}
        run = subprocess.run(["cmake", "-G", "Ninja", "-S", str(self.folder), "-B",
                              str(self.folder / "build"), *arguments],
                             capture_output=True, text=True, env=environment)
        return run.returncode, " ".join((run.stdout + run.stderr).split())

    def test_a_libtorch_folder_is_taken_from_each_way_to_name_it(self):
        torch = self.make_libtorch()
        (torch / "share/cmake/Torch").mkdir(parents=True)
        for number, argument in enumerate([f"-DTORCH_ROOT={torch}", f"-DCMAKE_PREFIX_PATH={torch}",
                                           f"-DCMAKE_PREFIX_PATH={torch}/share/cmake",
                                           f"-DTorch_DIR={torch}/share/cmake/Torch"]):
            code, said = self.configure(argument, "-B", str(self.folder / f"build{number}"))
            self.assertEqual(0, code, said)
            self.assertIn("CPU only", said)

    def test_another_cxx_abi_is_refused(self):
        torch = self.make_libtorch(cxx11_abi=0)
        code, said = self.configure(f"-DTORCH_ROOT={torch}")
        self.assertNotEqual(0, code)
        self.assertIn("libc10.so was built with another C++ ABI", said)

    def test_no_libtorch_names_the_cure(self):
        code, said = self.configure()
        self.assertNotEqual(0, code)
        self.assertIn("libtorch was not found: run launch/setup.sh", said)

    def test_a_libtorch_without_headers_is_refused(self):
        torch = self.make_libtorch(headers=False)
        code, said = self.configure(f"-DTORCH_ROOT={torch}")
        self.assertNotEqual(0, code)
        self.assertIn("has no headers", said)

    def test_cuda_on_demand_names_what_is_missing(self):
        torch = self.make_libtorch()
        code, said = self.configure(f"-DTORCH_ROOT={torch}", "-DGONDOLA_CUDA=ON")
        self.assertNotEqual(0, code)
        self.assertRegex(said, r"GONDOLA_CUDA=ON, but these were not found: .*libtorch_cuda\.so")


if __name__ == "__main__":
    unittest.main()
