"""What a run may go on from, and what it leaves alone."""

import re
import shutil
import signal
import unittest

from training import (DECODERS, TINY, TrainingTest, checkpoints, flags, gondola, losses, rows,
                      sentences)

OPTIONS = {**TINY, **DECODERS["conv"], "run.folder": "run", "checkpoint.every_steps": 2,
           "checkpoint.keep": 9}


class ResumeRulesTest(TrainingTest):
    def do(self, *options, more=(), code=0):
        ended = gondola("train", *flags(OPTIONS, *options), *more, folder=self.folder)
        self.assertEqual(ended.returncode, code, ended.stderr)
        return ended

    def everything_in(self, folder):
        return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

    def test_a_named_checkpoint_does_not_go_on_in_another_runs_folder(self):
        self.do({"trainer.steps": 6})
        self.do({"trainer.steps": 4, "run.folder": "other"})
        before = self.everything_in(self.folder / "other")
        ended = self.do({"trainer.steps": 8, "run.folder": "other"},
                        more=("--resume", "run/checkpoints/step-00000002/"), code=64)
        self.assert_one_sentence(ended.stderr, "'other' holds another run")
        self.assertEqual(self.everything_in(self.folder / "other"), before)

        # In a folder of its own it does, whatever it is called by now.
        shutil.copytree(self.folder / "run/checkpoints/step-00000002", self.folder / "kept")
        for name, checkpoint in [("new", "run/checkpoints/step-00000002/"), ("copy", "kept")]:
            self.do({"trainer.steps": 6, "run.folder": name}, more=("--resume", checkpoint))
            self.assertEqual(losses(self.folder / name)["train", 6],
                             losses(self.folder / "run")["train", 6])

    def test_a_run_that_was_rewound_does_not_fall_back_into_its_former_future(self):
        pictures = {"monitoring.samples_every": 2}
        self.do({"trainer.steps": 6}, pictures)
        self.do({"trainer.steps": 3}, pictures, more=("--resume", "run/checkpoints/step-00000002"))
        run = self.folder / "run"
        self.assertEqual(sorted(path.name for path in (run / "samples").glob("*")),
                         ["step-00000002.png", "step-00000003.png"])
        self.assertEqual([path.name for path in checkpoints(run)],
                         ["step-00000002", "step-00000003"])
        self.assertEqual(sorted(path.name for path in (run / "checkpoints").glob("abandoned-*")),
                         ["abandoned-step-00000004", "abandoned-step-00000006"])
        ended = self.do({"trainer.steps": 8}, more=("--resume", "auto"))
        self.assertIn("resumed after step 3", ended.stdout)
        self.assert_every_step_once(run, 8)
        best = (run / "checkpoints/best").resolve()
        self.assertTrue((best / "COMPLETE").exists())
        self.do({"trainer.steps": 9}, more=("--resume", "run/checkpoints/best"))
        self.assert_every_step_once(run, 9)

    def test_a_run_that_died_before_its_first_checkpoint_starts_again_with_its_ledger(self):
        options = {"trainer.steps": 1000000, "checkpoint.every_steps": 0, "data.ledger": "ledger.csv",
                   "run.resume": "auto"}
        training = self.start(2, OPTIONS, options)
        training.wait_for_step(3)
        training.signal(1, signal.SIGKILL)
        self.assertEqual(training.end()[0], 137, training.errors)
        self.assertEqual(checkpoints(training.run), [])
        self.train(2, OPTIONS, options, {"trainer.steps": 4})
        lines = (self.folder / "ledger.csv").read_text().splitlines()
        self.assertEqual([int(line.split(",")[0]) for line in lines],
                         [1 + i // TINY["trainer.batch_size"] for i in range(4 * 24)])
        self.assert_every_step_once(training.run, 4)

        # The ledger of another run stays as it is.
        ended = self.do({"run.folder": "other", "data.ledger": "ledger.csv", "trainer.steps": 2},
                        more=("--resume", "auto"), code=64)
        self.assert_one_sentence(ended.stderr, "ledger.csv", "exists already")
        self.assertFalse((self.folder / "other").exists())
        before = (self.folder / "ledger.csv").read_text()
        ended = self.do({"run.folder": "fork", "data.ledger": "ledger.csv", "trainer.steps": 5},
                        more=("--resume", checkpoints(training.run)[-1]), code=64)
        self.assert_one_sentence(ended.stderr, "ledger.csv", "exists already")
        self.assertEqual((self.folder / "ledger.csv").read_text(), before)

    def test_a_run_keeps_the_library_that_it_multiplied_with(self):
        siren = {**DECODERS["siren"], "trainer.precision": "float32"}

        def library_of(run):
            return re.search(r"^matmul = (\w+)$", (self.folder / run / "config.ini").read_text(), re.M)[1]

        self.do(siren, {"trainer.steps": 2, "run.folder": "chosen"})
        self.assertIn(library_of("chosen"), ("aten", "onednn"))
        for library, other in (("aten", "onednn"), ("onednn", "aten")):
            here = {**siren, "run.folder": library}
            self.do(here, {"trainer.steps": 2, "trainer.matmul": library})
            ended = self.do(here, {"trainer.steps": 4}, more=("--resume", "auto"))
            self.assertRegex(ended.stdout, rf"(?m)^matmul +{library}$")
            self.assertEqual(library_of(library), library)
            ended = self.do(here, {"trainer.steps": 6, "trainer.matmul": other},
                            more=("--resume", "auto"), code=64)
            self.assert_one_sentence(ended.stderr, f'trainer.matmul is "{other}"', f'"{library}"')
            self.do(siren, {"run.folder": f"whole-{library}", "trainer.steps": 4,
                            "trainer.matmul": library})
            stopped, whole = (losses(self.folder / run) for run in (library, f"whole-{library}"))
            self.assertEqual({key: stopped[key] for key in whole}, whole)
        # In double precision there is no choice.
        self.do(DECODERS["siren"], {"trainer.steps": 2, "run.folder": "double"})
        self.assertEqual(library_of("double"), "aten")

    def test_weights_of_another_run_start_a_run_on_other_images(self):
        self.do({"trainer.steps": 40, "trainer.epochs": 0})
        other = {"data.path": "synthetic:120x1x28x28", "trainer.steps": 2}
        self.do(other, {"run.folder": "tuned", "checkpoint.init": "run"})
        self.do(other, {"run.folder": "scratch"})
        tuned, scratch = (rows(self.folder / name)[0]["loss"] for name in ("tuned", "scratch"))
        self.assertLess(tuned, 0.9 * scratch)
        # A run that goes on needs them no more.
        ended = self.do(other, {"run.folder": "tuned", "checkpoint.init": "gone", "trainer.steps": 3},
                        more=("--resume", "auto"))
        self.assertEqual(sentences(ended.stderr), [])


if __name__ == "__main__":
    unittest.main()
