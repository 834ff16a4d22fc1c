"""Every command that the docs show is run: here, on small images and for two steps; or by the test
that PLAYED_BY names, as it stands or in substance; or it is in NOT_HERE, with the reason."""

import os
import re
import shlex
import shutil
import subprocess
import unittest
from pathlib import Path

from processes import PATIENCE
from training import PROGRAM, TrainingTest, gondola, saw, write_idx
from world import MPIEXEC

SOURCE = Path(os.environ["GONDOLA_SOURCE_DIR"])
PAGES = ["README.md", "CONTRIBUTING.md", "data/FORMAT.md",
         *sorted(str(page.relative_to(SOURCE)) for page in SOURCE.glob("docs/*.md"))]

# Beginnings of commands, and who runs them.
PLAYED_BY = {
    "tests/run.sh": ".ci/run", ".ci/run": ".ci/run", "launch/setup.sh": ".ci/run",
    "cmake --preset": ".ci/run", "cmake --build": ".ci/run", "ninja -C": ".ci/run",
    "ctest": ".ci/run", "build/release/tests/bin/trainer_test": ".ci/run",
    "mpirun -n 2 --oversubscribe build/release/tests/bin": ".ci/run",
    "cmake --install": "setup.package", "cpack": "setup.package",
    "launch/slurm": "slurm.submit", "sbatch": "slurm.array", "scancel": "slurm.cluster_guide",
    "scontrol": "slurm.cluster_guide", "salloc": "slurm.cluster_guide", "job=": "slurm.cluster_guide",
    "squeue": "slurm.cluster_guide", "tail": "slurm.cluster_guide",
    "launch/experiments/run.sh": "system.experiment", "launch/dashboard.sh": "dashboards.dashboard_script",
    "cat runs/first": "slurm.cluster_guide",
    "launch/scaling/gondola-scaling": "system.scaling", "gondola inspect RUN": "fault.peer",
    "for n in 2 4 8 16 32; do mpirun": "launch.control_plane",
    "tests/system/over_slow_link.py": "system.scaling_model",
}
NOT_HERE = {
    "launch/quickstart.sh": "sets the machine up and trains for minutes",
    "git clone": "the network", "cd ": "part of a clone", "apt-get": "changes the machine",
    "/opt/gondola/share": "downloads libtorch",
    "module ": "environment modules are a cluster's", "apptainer": "not in Debian",
    "srun --mpi=pmix apptainer": "not in Debian", "ssh ": "another machine",
    "clang-tidy": "takes an hour", "tests/quality/run.sh": "takes hours",
    "tests/peers": "installs other programs",
}
IMAGES, BATCH = 96, 16


def lines_of_blocks(text):
    """Of the fenced blocks that hold commands: of no language or `sh`; in `console`, behind a $."""
    for kind, block in re.findall(r"^```(.*)\n((?:.*\n)*?)```", text, re.M):
        lines = re.sub(r" *\\\n *", " ", block).splitlines()
        if kind == "console":
            yield from (line[2:] for line in lines if line.startswith("$ "))
        elif kind.split()[:1] in ([], ["sh"]):
            yield from (re.sub(r"(^|\s)#.*", "", line) for line in lines)


def commands(text):
    """Of blocks, and of the text in backquotes where that begins like one of the program."""
    for line in lines_of_blocks(text):
        yield from filter(None, (part.strip() for part in line.split("&&")))
    for span in re.findall(r"`((?:gondola|mpirun|launch/\S+\.sh|tests/\S+\.sh) [^`]*)`", text):
        yield re.sub(r"\s+", " ", span)


class DocsTest(TrainingTest):
    def setUp(self):
        super().setUp()
        for name in ("launch", "configs"):
            (self.folder / name).symlink_to(SOURCE / name)
        for place in ("build/release/bin", "datasets", "runs"):
            (self.folder / place).mkdir(parents=True)
        (self.folder / "build/release/bin/gondola").symlink_to(PROGRAM)

    def run_words(self, words):
        ended = subprocess.run(list(map(str, words)), cwd=self.folder, capture_output=True, text=True,
                               errors="replace", timeout=PATIENCE, check=False,
                               env={**os.environ, "GONDOLA": PROGRAM,
                                    "GONDOLA_PRESETS": str(SOURCE / "configs/presets")})
        self.assertEqual(ended.returncode, 0, f"{shlex.join(map(str, words))}:\n{ended.stderr[-2000:]}")
        return ended.stdout

    def dataset(self, name, channels, side):
        """datasets/NAME.h5 of as many channels, made from grey pictures."""
        target = self.folder / f"datasets/{name}.h5"
        if not target.exists():
            source = self.folder / f"source-{side}"
            if not source.exists():
                source.mkdir()
                write_idx(source, IMAGES, BATCH, height=side, width=side)
            self.run_words([PROGRAM, "import", "idx", "--input", source, "--output", target,
                            "--channels", channels])
        return target

    def short(self, words):
        """The words of a training, for two steps on a small dataset of the same name."""
        config = self.run_words([PROGRAM, "train", *words, "--print-config"])
        given = dict(re.findall(r"^(\S+) = (.*)$", config.split("[data]")[1].split("[")[0], re.M))
        for key in ("path", "targets"):
            path = given.get(key, "")
            if path.startswith("datasets/") and not (self.folder / path).exists():
                stem = Path(path).stem
                size = re.search(r"-(\d+)$", stem)
                colour = re.match("cifar|celeba|lsun|photographs|bedrooms|colour|grey", stem) is not None
                self.dataset(stem, 3 if colour else 1, min(int(size[1]) if size else 32, 64))
        kept = []
        words = list(words)
        while words:
            word = words.pop(0)
            if re.match(r"--(trainer\.(steps|epochs|batch_size)|evaluation\.|bench\.|parallel\.threads|"
                        r"monitoring\.samples_every|coordinates\.spread_every)", word):
                words = words[1:]
            else:
                kept.append(word)
        batch = int(re.search(r"^batch_size = (\d+)$", config, re.M)[1])
        return [*kept, "--trainer.steps", 2, "--trainer.batch_size", min(batch, BATCH),
                "--evaluation.images", BATCH, "--evaluation.every_steps", 0,
                "--evaluation.group_images", 8, "--monitoring.samples_every", 0,
                "--coordinates.spread_every", 0, "--parallel.threads", 1]

    def a_run(self):
        """Of latents of two values, which every command can show."""
        if not (self.folder / "runs/any").exists():
            self.play("gondola train --config conv_mnist --latent.size 2 --run.folder runs/any")
        return "runs/any"

    def play(self, command):
        """Runs a command of the program, however it is started."""
        words = shlex.split(re.sub(r" > \S+$", "", command))
        launcher = [PROGRAM]
        if words[0] == "mpirun":
            at = words.index("gondola")
            launcher, words = [*MPIEXEC, *words[1:at], PROGRAM], words[at:]
        elif words[0] == "launch/run.sh":
            at = words.index("--")
            launcher, words = [*words[:at], "--oversubscribe", "--"], words[at:]
        action, options = words[1], words[2:]
        if action == "bench":  # takes minutes
            self.run_words([PROGRAM, "train", *options[1:], "--print-config"])
            self.run_words([PROGRAM, "bench", *options[:1], "--help"])
        elif action != "help" and "--print-config" not in options and all(
                word.startswith("--") for word in options):
            shown = self.run_words([PROGRAM, action, "--help"])
            for option in options:
                self.assertIn(option, shown)
        elif action == "import":
            self.play_import(options)
        elif action == "train" and "--print-config" not in options:
            if "--run.folder" not in options:
                options += ["--run.folder", "runs/unnamed"]
            if "--resume" not in options:  # another page's run of that name
                shutil.rmtree(self.folder / options[options.index("--run.folder") + 1],
                              ignore_errors=True)
            self.run_words([*launcher, action, *self.short(options)])
        else:
            self.run_words([*launcher, action, *self.on_what_is_here(options)])

    def on_what_is_here(self, options):
        words = ["datasets/mnist-32.h5" if word == "FILE" else word for word in options]
        words = [self.a_run() if word == "RUN" else word for word in words]
        if not words:
            return words
        if words[0].startswith("datasets/"):
            self.dataset(Path(words[0]).stem, 1, 32)
        if words[0].startswith("runs/") and not (self.folder / words[0]).exists():
            words[0] = self.a_run()
        return [BATCH if before == "--images" else word for before, word in zip(["", *words], words)]

    def play_import(self, options):
        """The kinds have tests of their own: here every word must be known, and the input missing."""
        if "--input" not in options:
            self.run_words([PROGRAM, "import", *options, "--help"])
            return
        words = ["idx" if word == "FORMAT" else word for word in options]
        words = ["nowhere" if before == "--input" else word for before, word in zip(["", *words], words)]
        ended = gondola("import", *words, folder=self.folder)
        self.assertEqual(ended.returncode, 66, ended.stderr)

    def test_every_command_is_run(self):
        known = {**PLAYED_BY, **NOT_HERE}
        used, played = set(), 0
        for page in PAGES:
            for command in dict.fromkeys(commands((SOURCE / page).read_text())):
                if "..." in command or "COMMAND" in command:
                    continue  # not a whole one
                with self.subTest(page=page, command=command):
                    by = [start for start in known if command.startswith(start)]
                    used.update(by)
                    if by:
                        continue
                    command = command.removeprefix("build/release/bin/")
                    self.assertRegex(command, r"^(gondola|mpirun|launch/run\.sh) ",
                                     "neither a command of the program nor one that this test knows")
                    self.play(command)
                    played += 1
        saw(f"{played} commands of {len(PAGES)} pages were run here")
        self.assertEqual(set(known) - used, set(), "no page has such a command")
        self.assertGreater(played, 50)

    def test_who_is_said_to_run_a_command_is_there(self):
        for test in set(PLAYED_BY.values()) - {".ci/run"}:
            group, name = test.split(".")
            self.assertTrue(list((SOURCE / "tests" / group).glob(f"{name}*")), test)


if __name__ == "__main__":
    unittest.main()
