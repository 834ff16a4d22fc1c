"""What the program is given wrongly ends it with the right code and one sentence that says what is
wrong, and leaves nothing half-written."""

import os
import socket
import subprocess
import unittest

from training import (DECODERS, PROGRAM, TINY, TrainingTest, checkpoints, flags, gondola, saw,
                      write_idx)

NOBODY = 65534
MAKE_DATASET = os.environ["GONDOLA_MAKE_DATASET"]
OPTIONS = {**TINY, **DECODERS["siren"], "trainer.steps": 4}


class BadInputTest(TrainingTest):
    def make(self, kind):
        path = self.folder / f"{kind}.h5"
        subprocess.run([MAKE_DATASET, path, kind], check=True)
        return path

    def refuse(self, code, *arguments, says=()):
        """The command ends with the code and one sentence with these parts, and writes nothing."""
        before = sorted(self.folder.rglob("*"))
        ended = gondola(*arguments, folder=self.folder)
        said = ended.stderr.strip()
        self.assertEqual(ended.returncode, code, said or ended.stdout)
        self.assertEqual(len(said.splitlines()), 1, said)
        for part in says:
            self.assertIn(str(part), said)
        self.assertEqual(sorted(self.folder.rglob("*")), before)
        saw(f"{code}: {said}")

    def test_results_that_cannot_be_written_are_no_success(self):
        with open("/dev/full", "w") as full:
            for words in (["help"], ["train", "--help"], ["train", "--print-config"],
                          ["train", *flags(OPTIONS), "--dry-run"], ["bench", "--help"]):
                ended = subprocess.run([PROGRAM, *words], stdout=full, stderr=subprocess.PIPE,
                                       text=True, timeout=60)
                self.assertEqual(ended.returncode, 74, ended.stderr)
                self.assertIn("standard output cannot be written (No space left", ended.stderr)

    def refuse_training(self, code, *options, says=(), more=()):
        self.refuse(code, "train", *flags(OPTIONS, {"run.folder": "run"}, *options), *more, says=says)

    def trained(self, *options):
        ended = gondola("train", *flags(OPTIONS, {"run.folder": "trained"}, *options),
                        folder=self.folder)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return self.folder / "trained"

    def test_options(self):
        for wrong, says in [
                ({"model.hiden": 3}, ("model.hiden", "model.hidden")),
                ({"model.decoder": "sirren"}, ("sirren", "siren")),
                ({"latent.size": 0}, ("latent.size", "0")),
                ({"trainer.batch_size": 0}, ("trainer.batch_size",)),
                ({"optimizer.learning_rate": "fast"}, ("optimizer.learning_rate", "fast")),
                ({"trainer.precision": "float16"}, ("float16", "float32")),
                ({"coordinates.outer": "halton:16"}, ("coordinates.outer", "halton:16", "sobol:M")),
                ({"coordinates.inner": "sobol:0"}, ("coordinates.inner", "sobol:0", "1 or more")),
                ({"coordinates.inner": "sobol"}, ("coordinates.inner", "uniform:M")),
                ({"coordinates.outer": "full:16"}, ("coordinates.outer", "full:16")),
                ({"coordinates.outer": "uniform:1000000"}, ("1000000", "more pixels")),
                ({"coordinates.outer": "stratified:61"}, ("stratified:61", "rectangles")),
                ({"model.decoder": "conv", "coordinates.inner": "sobol:16"},
                 ("coordinates.inner", "model.decoder = siren")),
                ({"parallel.coordinate_ranks": 2}, ("parallel.coordinate_ranks = 2", "1 rank")),
                ({"config": "no-such-preset"}, ()),
        ]:
            with self.subTest(wrong=wrong):
                code = 66 if "config" in wrong else 64
                self.refuse_training(code, wrong, says=says)

    def test_environment(self):
        ended = gondola("train", *flags(OPTIONS, {"run.folder": "run"}), folder=self.folder,
                        environment={"GONDOLA_LATENT_SIZE": "4", "GONDOLA_TRAINER_STEEPS": "9"})
        self.assertEqual(ended.returncode, 64, ended.stderr)
        self.assert_one_sentence(ended.stderr, "GONDOLA_TRAINER_STEEPS", "GONDOLA_TRAINER_STEPS")

    def test_dataset_files(self):
        (self.folder / "text.h5").write_text("images\n" * 100)
        truncated = self.make("good").rename(self.folder / "truncated.h5")
        truncated.write_bytes(truncated.read_bytes()[:20000])
        for path, code, says in [
                (self.folder / "absent.h5", 66, ("absent.h5",)),
                (self.folder / "text.h5", 65, ("text.h5", "not an HDF5 file")),
                (self.folder, 65, (self.folder,)),
                (truncated, 65, ("truncated.h5", "truncated")),
                (self.make("flat"), 65, ("/train/images", "40x784")),
                (self.make("floats"), 65, ("image 3", "-0.5", "place 30")),
                (self.make("empty-test"), 65, ("/test/images", "is empty")),
                (self.make("no-images"), 65, ("/train/images is missing",)),
                (self.make("no-splits"), 65, ("no-splits.h5",)),
                (self.make("huge"), 65, ("huge.h5",)),
                (self.make("other-shape"), 65, ("28x28", "32x32")),
                ("synthetic:12", 64, ("synthetic:12",)),
        ]:
            with self.subTest(path=str(path)):
                self.refuse_training(code, {"data.path": path}, says=says)

    def test_sizes_that_do_not_fit_together(self):
        self.refuse_training(65, {"data.path": "synthetic:10x1x28x28"}, says=("10", "24"))
        self.refuse_training(64, DECODERS["conv"], {"data.path": "synthetic:200x1x28x36"},
                             says=("28x36",))
        self.refuse_training(64, DECODERS["conv"], {"data.path": "synthetic:200x1x30x30"},
                             says=("30",))

    def test_more_ranks_than_images_in_a_batch(self):
        training = self.train(3, OPTIONS, {"trainer.batch_size": 2}, code=64)
        self.assert_one_sentence(training.errors, "2", "3")
        self.assertFalse(training.run.exists())

    def test_run_folders(self):
        run = self.trained()
        self.refuse_training(64, {"run.folder": "trained"}, says=("trained", "--resume auto"))
        self.refuse_training(66, more=("--resume", "absent/step-1"), says=("absent/step-1",))
        self.refuse_training(64, {"run.folder": "trained", "optimizer.learning_rate": 0.25},
                             more=("--resume", "auto"),
                             says=("optimizer.learning_rate", "0.25", "0.001"))
        self.refuse_training(66, {"checkpoint.init": "absent"}, says=("absent",))
        self.refuse_training(64, {"run.folder": ""}, more=("--resume", "auto"), says=("run.folder",))
        self.refuse_training(65, {"run.folder": "trained", "data.path": "synthetic:201x1x28x28"},
                             more=("--resume", "auto"), says=("synthetic:201x1x28x28",))
        (self.folder / "file").write_text("no folder")
        self.refuse_training(64, {"run.folder": "file"}, says=("'file' is a file",))
        self.refuse_training(64, {"data.ledger": "file"}, says=("ledger file exists",))
        self.refuse_training(66, {"monitoring.token_file": "absent"}, says=("absent",))
        (self.folder / "nothing").mkdir()
        for command in ("report", "eval", "encode", "reconstruct"):
            with self.subTest(command=command):
                self.refuse(66, command, "absent", says=("absent",))
                self.refuse(66, command, "nothing", says=("nothing",))
                self.refuse(66, command, "file", says=("file",))
        self.refuse(65, "eval", run, "--data", "synthetic:50x1x32x32", says=("1x32x32", "1x28x28"))
        self.refuse(64, "eval", run, "--splitt", "train", says=("--splitt", "--split?"))

    def test_outputs_are_not_overwritten(self):
        run = self.trained()
        for command, name in [("encode", "latents.h5"), ("reconstruct", "picture.png")]:
            with self.subTest(command=command):
                (self.folder / name).write_text("precious")
                self.refuse(64, command, run, "--output", name, says=(name,))
                self.assertEqual((self.folder / name).read_text(), "precious")

    def test_a_checkpoint_outside_a_run_needs_an_output(self):
        checkpoint = checkpoints(self.trained())[0].rename(self.folder / "taken-out")
        for command in ("encode", "reconstruct"):
            self.refuse(64, command, checkpoint, "--split", "train", "--images", "4",
                        says=("taken-out", "--output"))

    def test_inspect_draws_over_nothing(self):
        dataset = self.make("good")
        before = dataset.read_bytes()
        self.refuse(64, "inspect", dataset, "--sheet", dataset, says=("good.h5",))
        self.assertEqual(dataset.read_bytes(), before)

    def test_run_folders_that_cannot_be_read(self):
        run = self.trained()
        (run / "checkpoints").rename(self.folder / "aside")
        (run / "checkpoints").write_text("no folder")
        self.refuse_training(74, {"run.folder": "trained"}, more=("--resume", "auto"),
                             says=("trained/checkpoints",))
        run.chmod(0)
        self.addCleanup(run.chmod, 0o700)
        self.folder.chmod(0o755)
        somebody = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        command = [PROGRAM, "train", *flags(OPTIONS, {"run.folder": run})]
        try:
            subprocess.run([PROGRAM, "--version"], check=True, capture_output=True, **somebody)
        except (OSError, subprocess.CalledProcessError):
            saw("the program cannot be run by another user here: permissions were not tried")
            return
        for more in ([], ["--resume", "auto"]):
            ended = subprocess.run([*command, *more], cwd=self.folder, capture_output=True, text=True,
                                   check=False, **somebody)
            self.assertEqual(ended.returncode, 74, ended.stderr)
            saw(self.assert_one_sentence(ended.stderr, "cannot read run folder", "Permission denied"))

    def test_a_step_that_the_bench_has_no_control_for(self):
        self.refuse(64, "bench", "step", "--latent.steps", "2", says=("latent.steps = 1",))
        self.refuse(64, "bench", "stepp", says=("stepp",))
        self.refuse(64, "bench", "loader", "--data.path", "synthetic:640x1x8x8",
                    says=("synthetic:640x1x8x8 is made, not read",))

    def test_reconstruct_sizes(self):
        self.refuse(64, "reconstruct", self.trained(), "--size", "-3", says=("-3",))

    def test_a_convolutional_model_has_one_size(self):
        self.refuse(64, "reconstruct", self.trained(DECODERS["conv"]), "--size", "56",
                    says=("56", "28x28"))

    def test_import(self):
        write_idx(self.folder, train=20, test=5)
        idx = self.folder / "train-images-idx3-ubyte"
        good = idx.read_bytes()
        self.refuse(66, "import", "idx", "--input", "absent", "--output", "a.h5", says=("absent",))
        self.refuse(64, "import", "cifar", "--input", ".", "--output", "a.h5",
                    says=("cifar", "cifar10"))
        for wrong, says in [(["--size", "0x3"], ("0x3",)), (["--size", "-3"], ("-3",)),
                            (["--size", "8x"], ("8x",)), (["--crop", "center"], ("--size",)),
                            (["--filter", "cubic"], ("cubic", "bicubic")),
                            (["--filter", "lanczos"], ("lanczos", "--size")),
                            (["--seed", "5"], ("--seed 5", "--split")),
                            (["--size", "16384", "--channels", "3"], ("16384", "268435456")),
                            (["--channels", "2"], ("2",)), (["--split", "train=0.5"], ("train=0.5",)),
                            (["--split", "train=0.5,test=0.6"], ("0.6",)), (["--jobs", "-1"], ("-1",)),
                            (["--cameras", "images"], ("norb",)), (["--limti", "3"], ("--limit",))]:
            self.refuse(64, "import", "idx", "--input", ".", "--output", "a.h5", *wrong, says=says)
        for content, says in [(good[:1000], ("train-images-idx3-ubyte",)), (b"", ()), (b"x" * 99, ())]:
            idx.write_bytes(content)
            self.refuse(65, "import", "idx", "--input", ".", "--output", "a.h5", says=says)
        idx.write_bytes(good)
        (self.folder / "a.h5").write_text("precious")
        self.refuse(64, "import", "idx", "--input", ".", "--output", "a.h5", says=("a.h5",))

    def test_inspect(self):
        self.refuse(66, "inspect", "absent.h5", says=("absent.h5",))
        self.refuse(65, "inspect", self.make("flat"), says=("40x784",))
        self.refuse(64, "inspect", self.make("good"), "--verify", says=("good.h5", "no checksums"))
        for option in (["--verify"], ["--statistics"], ["--sheet", "sheet.png"]):
            self.refuse(64, "inspect", ".", *option, says=(option[0], "is a folder"))

    def test_a_metrics_port_that_is_taken_is_a_warning(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            ended = gondola("train", *flags(OPTIONS, {"run.folder": "run", "monitoring.port": port}),
                            folder=self.folder)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertEqual(len(checkpoints(self.folder / "run")), 1)
        warnings = [line for line in ended.stderr.splitlines() if str(port) in line]
        self.assertEqual(len(warnings), 1, ended.stderr)
        saw(warnings[0])


if __name__ == "__main__":
    unittest.main()
