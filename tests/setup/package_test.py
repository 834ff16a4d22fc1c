#!/usr/bin/env python3
"""What `cmake --install` and `cpack` make: a program that runs from where it is put, with its presets,
manual page, completion, scripts and module file."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

BUILD = Path(os.environ["GONDOLA_BUILD_DIR"])


def run(*words, **options):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, **options)


class PackageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        # Moved after the installation: nothing may depend on the prefix it was installed to.
        first = Path(cls.temporary.name) / "first"
        done = run("cmake", "--install", BUILD, "--prefix", first, "--strip")
        assert done.returncode == 0, done.stderr
        cls.prefix = Path(cls.temporary.name) / "moved"
        first.rename(cls.prefix)
        cls.program = cls.prefix / "bin/gondola"
        cls.share = cls.prefix / "share/gondola"
        # The libtorch that the build was linked with stands for the one that install-torch.sh fetches.
        libraries = {line.split("=>")[1].split()[0]
                     for line in run("ldd", BUILD / "bin/gondola").stdout.splitlines()
                     if "libtorch_cpu" in line}
        cls.torch = Path(libraries.pop()).parent.parent
        cls.environment = dict(os.environ)
        for name in ("GONDOLA", "GONDOLA_PRESETS"):
            cls.environment.pop(name, None)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def put_libtorch(self):
        place = self.prefix / "lib/gondola"
        place.mkdir(parents=True, exist_ok=True)
        for folder in (self.torch, self.torch.parent / "nvidia"):
            link = place / folder.name
            if folder.exists() and not link.exists():
                link.symlink_to(folder)

    def test_the_program_finds_libtorch_and_presets_beside_itself(self):
        self.put_libtorch()
        found = run("ldd", self.program)
        self.assertIn(f"{self.prefix}/bin/../lib/gondola/torch/lib/libtorch_cpu.so", found.stdout)
        self.assertNotIn("not found", found.stdout)
        preset = self.share / "configs/presets/quickstart.ini"
        preset.write_text(preset.read_text() + "\n[run]\nseed = 4711\n")
        shown = run(self.program, "train", "--config", "quickstart", "--print-config")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("seed = 4711", shown.stdout)

    def test_the_scripts_take_the_program_beside_them(self):
        self.put_libtorch()
        trained = run(self.share / "launch/run.sh", "-n", "2", "--oversubscribe", "--", "train",
                      "--data.path", "synthetic:64x1x8x8", "--model.hidden", "8", "--trainer.steps",
                      "3", "--trainer.batch_size", "8", "--run.folder", self.prefix / "run",
                      "--monitoring.bind", "off", env=self.environment)
        self.assertEqual(trained.returncode, 0, trained.stderr)
        here = Path(self.temporary.name) / "here"
        here.mkdir()
        nothing = run(self.share / "launch/experiments/run.sh", "table1", cwd=here,
                      env=self.environment)
        self.assertEqual(nothing.returncode, 66, nothing.stderr)
        self.assertIn(f"{here}/datasets/", nothing.stdout)
        self.assertTrue((here / "runs/table1").exists())
        self.assertTrue((self.share / "launch/slurm/train.sbatch").exists())
        self.assertFalse((self.share / "launch/setup.sh").exists())

    @unittest.skipUnless(shutil.which("man"), "SKIPPED: man is missing (man-db)")
    def test_the_manual_page_is_whole(self):
        page = self.prefix / "share/man/man1/gondola.1"
        shown = run("man", "--warnings", "-l", page,
                    env={**os.environ, "MANPAGER": "cat", "MANWIDTH": "100", "LC_ALL": "C.UTF-8"})
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        for words in ("--trainer.batch_size N", "gondola interpolate", "EXIT STATUS", "ENVIRONMENT"):
            self.assertIn(words, shown.stdout)

    def complete(self, *words):
        self.put_libtorch()
        script = self.prefix / "share/bash-completion/completions/gondola"
        quoted = " ".join(f"'{word}'" for word in words)
        done = run("bash", "-c", f"source {script}; COMP_WORDS=({quoted}); "
                   "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _gondola; printf '%s\\n' \"${COMPREPLY[@]}\"",
                   env={**self.environment, "PATH": f"{self.prefix}/bin:{os.environ['PATH']}"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_bash_completes_commands_options_values_and_presets(self):
        self.assertEqual(self.complete("gondola", "int"), ["interpolate"])
        self.assertEqual(self.complete("gondola", "train", "--model.decoder", ""), ["siren", "conv"])
        self.assertEqual(self.complete("gondola", "train", "--trainer.batch"),
                         ["--trainer.batch_size"])
        self.assertEqual(self.complete("gondola", "train", "--config", "implicit_mn"),
                         ["implicit_mnist", "implicit_mnist_small"])
        self.assertEqual(self.complete("gondola", "eval", "--hist"), ["--histogram"])

    @unittest.skipUnless(shutil.which("tclsh"), "SKIPPED: tclsh is missing (tcl)")
    def test_the_module_file_names_its_own_prefix(self):
        file, = (self.share / "modulefiles/gondola").iterdir()
        # The commands of environment modules that the file uses, as words of Tcl.
        done = run("tclsh", input=f"""
            proc module-whatis text {{}}
            proc conflict name {{}}
            proc prepend-path {{name value}} {{ puts "$name $value" }}
            proc setenv {{name value}} {{ puts "$name $value" }}
            set ModulesCurrentModulefile {file}
            source {file}""")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines(),
                         [f"PATH {self.prefix}/bin", f"GONDOLA {self.program}",
                          f"GONDOLA_HOME {self.share}"])

    def test_libtorch_is_installed_or_refused_in_one_sentence(self):
        script = self.share / "install-torch.sh"
        for words, code, said in ((["--offline", "/nowhere"], 66, "there is no such folder"),
                                  (["--cpu"], 64, "unknown option --cpu")):
            refused = run(script, *words)
            self.assertEqual(refused.returncode, code)
            self.assertIn(said, refused.stderr)
            self.assertEqual(len(refused.stderr.splitlines()), 1)
        self.assertIn("torch==", script.read_text())

    @unittest.skipUnless(shutil.which("dpkg-shlibdeps"), "SKIPPED: dpkg-shlibdeps is missing (dpkg-dev)")
    def test_the_debian_package_names_the_libraries_it_needs(self):
        folder = Path(self.temporary.name) / "packages"
        made = run("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", folder, "-G", "DEB;TGZ")
        self.assertEqual(made.returncode, 0, made.stdout + made.stderr)
        package, = folder.glob("*.deb")
        archive, = folder.glob("*.tar.gz")
        depends = run("dpkg-deb", "--field", package, "Depends").stdout
        for library in ("libopenmpi3", "libhdf5", "libboost-program-options", "openmpi-bin"):
            self.assertIn(library, depends)
        listed = run("tar", "--list", "--file", archive).stdout
        self.assertIn("bin/gondola\n", listed)
        contents = run("dpkg-deb", "--contents", package).stdout
        self.assertRegex(contents, r"(?m) \./opt/gondola/bin/gondola$")


if __name__ == "__main__":
    unittest.main()
