"""What becomes of a run whose loss, gradient or weights are not finite, by trainer.on_nonfinite.

One image is made bad in a real way: its latent in the table of a glo model is NaN in the checkpoint
that the run goes on from, so that the steps with that image, and no others, have no finite loss."""

import os
import shutil
import subprocess
import unittest

from training import (DECODERS, TINY, TrainingTest, checkpoints, losses, rows, saw,
                      sentences)

EPOCH = 8
START = 4  # the checkpoint that is edited
BAD = 7    # the first step with the bad image
GLO = {**TINY, **DECODERS["siren"], "model.family": "glo", "optimizer.learning_rate": 1e-4,
       "latent.search_steps": 5, "evaluation.images": 24, "data.ledger": "ledger.csv", "checkpoint.every_steps": START, "checkpoint.keep": 9,
       "run.resume": "auto"}
# Weights of 1e30 square to more than float32 holds, and are finite themselves.
EXPLODING = {**TINY, **DECODERS["siren"], "trainer.precision": "float32",
             "optimizer.learning_rate": 1e30, "trainer.steps": 60}


def ledger_of(folder):
    """[(step, epoch, position, image)]"""
    return [tuple(map(int, line.split(",")))
            for line in (folder / "ledger.csv").read_text().splitlines()]


def passed_over(run):
    """[(step, epoch, position, image, reason)]"""
    lines = (run / "logs" / "passed_over.csv").read_text().splitlines()
    assert lines[0] == "step,epoch,position,image_id,reason", lines[0]
    rows_ = [line.split(",") for line in lines[1:]]
    return [(*map(int, row[:4]), row[4]) for row in rows_]


def without_step(entries):
    return [entry[1:4] for entry in entries]


def largest_difference(run, reference):
    """Relative, of the losses of all training steps; runs that stop on the way evaluate more often."""
    ours, theirs = rows(run), rows(reference)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    return max(abs(a["loss"] - b["loss"]) / b["loss"] for a, b in zip(ours, theirs))


class OneBadImage(TrainingTest):
    """A run of START steps whose checkpoint has a bad latent, of an image that comes in step BAD and
    then not again for as long as possible."""

    def setUp(self):
        super().setUp()
        self.reference = self.folder / "undisturbed"
        self.train(2, GLO, {"trainer.steps": 2 * EPOCH}, folder=self.reference)
        self.ledger = ledger_of(self.reference)
        again = {image: position // TINY["trainer.batch_size"]
                 for _, epoch, position, image in self.ledger if epoch == 1}
        self.image, self.rank = max(
            ((image, position % 24 // 12) for step, _, position, image in self.ledger
             if step == BAD), key=lambda found: again.get(found[0], EPOCH))
        self.next_epoch = again.get(self.image, EPOCH)  # whose batch of epoch 1 has it again
        start = self.folder / "start"
        self.train(2, GLO, {"trainer.steps": START}, folder=start)
        subprocess.run([os.environ["GONDOLA_EDIT_CHECKPOINT"], checkpoints(start / "run")[-1],
                        "/family/rows", str(self.image), "nan"], check=True)

    def go_on(self, name, steps, *options, ranks=2, code=0):
        folder = self.folder / name
        if not folder.exists():
            shutil.copytree(self.folder / "start", folder, symlinks=True)
        return self.train(ranks, GLO, {"trainer.steps": steps}, *options, folder=folder, code=code)

    def logs(self, run):
        return [(run / "logs" / f"rank-{rank}.log").read_text() for rank in range(2)]

    def test_skip_leaves_out_the_step_and_names_the_image(self):
        training = self.go_on("skip", EPOCH)
        said = sentences(training.errors)
        self.assertEqual(len(said), 1, training.errors)
        self.assertIn(f"step {BAD}: the loss of image {self.image} on rank {self.rank} is not finite",
                      said[0])
        named = [f"image {self.image}" in log for log in self.logs(training.run)]
        self.assertEqual(named, [True, self.rank == 1])  # rank 0 says it for all
        self.assertEqual(ledger_of(training.run.parent),
                         [row for row in self.ledger if row[0] <= EPOCH])
        listed = passed_over(training.run)
        self.assertEqual([entry[:4] for entry in listed],
                         [row for row in self.ledger if row[0] == BAD])
        self.assertEqual({entry[3]: entry[4] for entry in listed if entry[4] != "batch"},
                         {self.image: "loss"})
        ours, theirs = losses(training.run), losses(self.reference / "run")
        for step in range(1, BAD):
            self.assertEqual(ours["train", step], theirs["train", step])
        self.assertIsNone(ours["train", BAD])
        self.assertIsNotNone(ours["train", BAD + 1])

    def test_stop_ends_with_71_and_names_step_and_image(self):
        training = self.go_on("stop", EPOCH, {"trainer.on_nonfinite": "stop"}, code=71)
        self.assert_one_sentence(training.errors, f"step {BAD}", "the loss of image "
                                 f"{self.image} on rank {self.rank} is not finite")

    def test_rollback_goes_on_behind_the_bad_batch(self):
        # Batches 5, 6 and 7 are passed over: step 5 has batch 8, and so on into the next epoch.
        options = {"trainer.on_nonfinite": "rollback"}
        steps = START + 1 + self.next_epoch
        self.assertGreater(self.next_epoch, 4)
        training = self.go_on("rollback", steps, options)
        run = training.run
        self.assertEqual(len(sentences(training.errors)), 1, training.errors)
        self.assertIn(f"went back to the checkpoint of step {START} and passes over the 72 images",
                      training.errors)
        before = [row for row in self.ledger if row[0] <= START]
        after = [(step - (BAD - START), *rest) for step, *rest in self.ledger
                 if BAD < step <= steps + BAD - START]
        self.assertEqual(ledger_of(run.parent), before + after)
        listed = passed_over(run)
        self.assertEqual([entry[:4] for entry in listed],
                         [row for row in self.ledger if START < row[0] <= BAD])
        self.assertEqual([entry[4] for entry in listed if entry[0] < BAD], ["rollback"] * 48)
        self.assertEqual([entry[3] for entry in listed if entry[4] == "loss"], [self.image])
        self.assert_every_step_once(run, steps)
        self.assertTrue(all(row["loss"] is not None for row in rows(run)))
        self.assertEqual([row["epoch"] for row in rows(run)],
                         [0] * (START + 1) + [1] * self.next_epoch)
        [row] = rows(run, "rollback")
        self.assertEqual((row["step"], row["from_step"], row["images"]), (START, BAD, 72))
        self.assert_the_table_has_every_number(run)

        # Stopped behind the rollback, at a checkpoint, and resumed on one rank: the same run.
        self.go_on("resumed", START + 4, options)
        self.go_on("resumed", steps, ranks=1)
        resumed = self.folder / "resumed" / "run"
        self.assertEqual(ledger_of(resumed.parent), before + after)
        self.assertEqual(rows(resumed, "rollback"), [row])
        worst = largest_difference(resumed, run)
        self.assertLessEqual(worst, 1e-10)
        saw(f"rollback: image {self.image} of step {BAD}, 72 images passed over; resumed on one rank, "
            f"largest relative difference of losses {worst:.1e}")

    def test_rollbacks_that_come_no_further_end_with_71(self):
        """A bad image in each batch: of every epoch all batches are bad."""
        start = checkpoints(self.folder / "start" / "run")[-1]
        for image in range(200):
            subprocess.run([os.environ["GONDOLA_EDIT_CHECKPOINT"], start, "/family/rows", str(image),
                            "nan"], check=True)
        training = self.go_on("vain", EPOCH, {"trainer.on_nonfinite": "rollback"}, code=71)
        said = sentences(training.errors)
        self.assertIn("two rollbacks have not brought it beyond step 5", said[-1])
        self.assertEqual(len(said), 3, training.errors)
        # Each rollback passes over one more batch, and none is listed twice.
        listed = passed_over(training.run)
        self.assertEqual(without_step(listed),
                         without_step([row for row in self.ledger if START < row[0] <= START + 2]))


class Explosion(TrainingTest):
    def check(self, options, *parts):
        training = self.train(2, EXPLODING, options, code=71)
        self.assertIn("training diverged at step", sentences(training.errors)[-1])
        for part in parts:
            self.assertIn(part, sentences(training.errors)[-1])
        return training

    def test_skip_ends_beyond_its_budget(self):
        training = self.check({"trainer.skip_budget": 5},
                              "in 6 steps in a row of 5 that trainer.skip_budget allows",
                              "lower optimizer.learning_rate")
        self.assertEqual(len(passed_over(training.run)), 5 * TINY["trainer.batch_size"])

    def test_stop_ends_at_once(self):
        training = self.check({"trainer.on_nonfinite": "stop"}, "lower optimizer.learning_rate")
        self.assertEqual(len(sentences(training.errors)), 1)

    def test_rollback_without_a_checkpoint_ends_with_the_cure(self):
        self.check({"trainer.on_nonfinite": "rollback", "checkpoint.every_steps": 50},
                   "there is no complete checkpoint yet", "lower checkpoint.every_steps")

    def test_weights_that_are_not_finite_end_a_skipping_run_at_once(self):
        training = self.check({"optimizer.learning_rate": 1e300},
                              "the weights are not finite, which skipping updates cannot mend")
        self.assertEqual(len(sentences(training.errors)), 1)

    def test_weights_that_are_not_finite_are_never_saved(self):
        # An infinite rate in float32: the first update already leaves weights that are none.
        for steps in (60, 1):
            with self.subTest(steps=steps):
                training = self.train(2, EXPLODING, {
                    "optimizer.learning_rate": 1e39, "trainer.steps": steps, "checkpoint.every_steps": 1,
                    "run.folder": f"run-{steps}"}, code=71)
                self.assert_one_sentence(training.errors, "not finite")
                self.assertEqual(list((self.folder / f"run-{steps}").glob("checkpoints/step-*")), [])

    def test_rollback_needs_checkpoints(self):
        training = self.train(1, TINY, DECODERS["siren"],
                              {"trainer.steps": 4, "trainer.on_nonfinite": "rollback"}, code=64)
        self.assert_one_sentence(training.errors, "trainer.on_nonfinite = rollback",
                                 "checkpoint.every_steps = 0")


class Bound(TrainingTest):
    """A bound so low that many steps are beyond it: the same ones however often a run is resumed."""
    OPTIONS = {**TINY, **DECODERS["siren"], "optimizer.learning_rate": 3e-4, "run.resume": "auto",
               "trainer.outlier_factor": 1.05, "trainer.skip_budget": 1000, "trainer.steps": 90}

    def test_the_same_steps_are_left_out_after_a_resume_on_other_ranks(self):
        straight = self.train(2, self.OPTIONS, folder=self.folder / "straight").run
        resumed = None
        for ranks, steps in ((2, 35), (1, 60), (2, 90)):
            resumed = self.train(ranks, self.OPTIONS, {"trainer.steps": steps},
                                 folder=self.folder / "resumed").run
        listed = passed_over(straight)
        self.assertEqual({entry[4] for entry in listed}, {"bound"})
        left_out = sorted({entry[0] for entry in listed})
        self.assertGreater(left_out[0], 20)
        self.assertEqual(passed_over(resumed), listed)
        self.assertLessEqual(largest_difference(resumed, straight), 1e-10)
        saw(f"bound: {len(left_out)} of 90 steps left out, the same after two resumes")


if __name__ == "__main__":
    unittest.main()
