#!/usr/bin/env python3
"""Checks of the tree's habits: check_style.py [--root DIR] arrow|format|headers|sentences|shell.

arrow    a folder includes only itself and the folders to its left, and configs, data and
         monitoring include neither libtorch nor MPI
format   every C++ and CUDA file is as clang-format leaves it
headers  no header includes torch/torch.h
sentences  docs/troubleshooting.md quotes what the sources say
shell    every shell script parses

Prints one line for each finding and exits 1 when there is one, 77 when a tool is missing.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

FOLDERS = ["configs", "data", "trainer", "monitoring", "launch"]  # from left to right
WITHOUT_TORCH_AND_MPI = {"configs", "data", "monitoring"}
CLANG_FORMAT_MAJOR = 14  # other versions break lines in other places
SKIPPED = 77

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
TORCH_OR_MPI = re.compile(r"^(torch|ATen|c10|caffe2)/|^(mpi|nccl)\.h$")


def files_with(root, folders, suffixes):
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in suffixes and path.is_file():
                yield path


def sources(root):
    return files_with(root, FOLDERS, {".hpp", ".cpp", ".h", ".cu", ".cuh"})


def includes(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def check_arrow(root):
    for path in sources(root):
        where = path.relative_to(root)
        folder = where.parts[0]
        for number, quote, target in includes(path):
            first = target.split("/")[0]
            if first in FOLDERS and FOLDERS.index(first) > FOLDERS.index(folder):
                yield (f"{where}:{number}: {folder} includes {target}, which lies to its right "
                       f"({' -> '.join(FOLDERS)}): move what is shared to the left.")
            if folder in WITHOUT_TORCH_AND_MPI and TORCH_OR_MPI.match(target):
                yield f"{where}:{number}: {folder} links neither libtorch nor MPI, but includes {target}."
            if quote == '"' and first not in FOLDERS and target != "gondola_version.hpp":
                yield f'{where}:{number}: "{target}" is not named from the root of the repository.'


def check_headers(root):
    for path in files_with(root, FOLDERS, {".hpp", ".h", ".cuh"}):
        for number, _, target in includes(path):
            if target == "torch/torch.h":
                yield (f"{path.relative_to(root)}:{number}: a header includes torch/torch.h: take "
                       "torch/types.h or a narrower one, which compiles in half the time.")


QUOTED = re.compile(r"^\| `([^`]+)` \|")


def check_sentences(root):
    page = root / "docs/troubleshooting.md"
    said = []
    for path in sources(root):
        # Neighbouring string literals are one sentence.
        said.append(re.sub(r'"\s*\n\s*"', "", path.read_text(encoding="utf-8")))
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        quoted = QUOTED.match(line)
        if quoted and not any(quoted.group(1) in text for text in said):
            yield (f"docs/troubleshooting.md:{number}: no source says \"{quoted.group(1)}\": quote a part "
                   "of the sentence that is one string there.")


def clang_format():
    beside_sources = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "clang-format"
    for candidate in [str(beside_sources), f"clang-format-{CLANG_FORMAT_MAJOR}", "clang-format"]:
        program = shutil.which(candidate)
        if program:
            version = subprocess.run([program, "--version"], capture_output=True, text=True)
            if re.search(rf"version {CLANG_FORMAT_MAJOR}\.", version.stdout):
                return program
    print(f"SKIPPED: there is no clang-format {CLANG_FORMAT_MAJOR}: launch/setup.sh installs it.")
    sys.exit(SKIPPED)


def check_format(root):
    program = clang_format()
    files = list(sources(root)) + list(files_with(root, ["tests"], {".hpp", ".cpp", ".cu"}))
    if not files:
        return
    run = subprocess.run([program, "--style=file", "--dry-run", "--Werror", *map(str, files)],
                         capture_output=True, text=True)
    first_lines = {}
    for path, line in re.findall(r"^(.*?):(\d+):\d+: error: ", run.stderr, re.MULTILINE):
        first_lines.setdefault(Path(path).relative_to(root), line)
    for path, line in first_lines.items():
        yield f"{path}:{line}: not formatted: clang-format -i {path}"
    if run.returncode != 0 and not first_lines:
        yield f"clang-format failed: {run.stderr.strip()}"


def check_shell(root):
    scripts = list(files_with(root, FOLDERS + ["tests"], {".sh", ".sbatch"})) + [root / ".ci/run"]
    for path in scripts:
        if not path.exists():
            continue
        run = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True)
        if run.returncode != 0:
            yield f"{path.relative_to(root)}: does not parse: {run.stderr.strip()}"
        if path.suffix != ".sbatch" and not os.access(path, os.X_OK):
            yield f"{path.relative_to(root)}: is not executable: chmod +x it."


CHECKS = {"arrow": check_arrow, "format": check_format, "headers": check_headers,
          "sentences": check_sentences,
          "shell": check_shell}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("check", choices=sorted(CHECKS))
    arguments = parser.parse_args()

    findings = list(CHECKS[arguments.check](arguments.root.resolve()))
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
