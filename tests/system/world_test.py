"""Ranks that do not belong together are refused before anything is written: 69, and one sentence that
names the rank and the cure."""

import unittest

from training import (DECODERS, PROGRAM, TINY, TrainingTest, flags, gondola, saw, write_idx)
from world import World

OPTIONS = {**TINY, **DECODERS["siren"], "trainer.steps": 4}


class WorldTest(TrainingTest):
    def refuse(self, first_three, last, *parts, show=True):
        """Three ranks with the first command and one with the second."""
        world = World(3, *first_three, ":", "-n", "1", *last)
        self.addCleanup(world.kill)
        code, _ = world.end()
        self.assertEqual(code, 69, world.errors)
        said = self.assert_one_sentence(world.errors, *parts)
        if show:
            saw(said)
        self.assertEqual(list(self.folder.rglob("run*")), [])

    def command(self, *options):
        return [PROGRAM, "train", *flags(OPTIONS, {"run.folder": self.folder / "run"}, *options)]

    def test_a_rank_with_another_option_is_named(self):
        self.refuse(self.command(), self.command({"optimizer.learning_rate": 0.5}),
                    "config of rank 3", "give every rank the same config")

    def test_a_rank_that_is_to_do_something_else_is_named_before_any_turns_off(self):
        for odd in (["--parallel.device", "cpu"], ["--dry-run"], ["--help"], ["--print-config"]):
            with self.subTest(odd=odd):
                self.refuse(self.command(), [*self.command(), *odd], "config of rank 3", show=False)

    def test_a_rank_with_another_dataset_is_named(self):
        for name, train in [("one", 200), ("two", 199)]:
            (self.folder / name).mkdir()
            write_idx(self.folder / name, train=train, test=10)
            ended = gondola("import", "idx", "--input", ".", "--output", "a.h5",
                            folder=self.folder / name)
            self.assertEqual(ended.returncode, 0, ended.stderr)
        command = self.command({"data.path": "a.h5"})
        self.refuse(["-wdir", str(self.folder / "one"), *command],
                    ["-wdir", str(self.folder / "two"), *command],
                    "dataset of rank 3", "give every rank the same dataset")

    def test_a_rank_with_another_checkpoint_is_named(self):
        """Under the same name, as on disks of their own."""
        for seed, name in enumerate(("one", "two")):
            (self.folder / name).mkdir()
            self.train(1, OPTIONS, {"run.seed": seed}, run=f"{name}/first")
        command = self.command({"checkpoint.init": "first/checkpoints/step-00000004"})
        self.refuse(["-wdir", str(self.folder / "one"), *command],
                    ["-wdir", str(self.folder / "two"), *command],
                    "checkpoint of rank 3", "give every rank the same checkpoint")

    def test_whether_a_run_goes_on_is_what_rank_zero_sees(self):
        """One with checkpoint.init too, which a rank without the run's own checkpoint would read."""
        for name in ("one", "two"):
            (self.folder / name).mkdir()
        self.train(1, OPTIONS, run="first")
        self.train(1, OPTIONS, folder=self.folder / "one")
        command = [PROGRAM, "train", *flags(OPTIONS, {
            "run.folder": "run", "run.resume": "auto", "trainer.steps": 8,
            "checkpoint.init": self.folder / "first", "parallel.timeout_seconds": 5})]
        world = World(1, "-wdir", str(self.folder / "one"), *command, ":", "-n", "1",
                      "-wdir", str(self.folder / "two"), *command)
        self.addCleanup(world.kill)
        code, _ = world.end()
        self.assertEqual(code, 66, world.errors)
        self.assertIn("there is no file run/checkpoints/step-00000004/state.h5", world.errors)

    def test_tasks_of_slurm_that_are_worlds_of_one_are_refused_and_one_of_them_speaks(self):
        for command in ("train", "eval", "encode", "reconstruct", "bench"):
            for task in ("0", "1"):
                arguments = {"train": self.command()[2:], "bench": ["step"]}
                ended = gondola(command, *arguments.get(command, ["absent"]), folder=self.folder,
                                environment={"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": task})
                self.assertEqual(ended.returncode, 69, ended.stderr)
                self.assertEqual("srun --mpi=pmix" in ended.stderr, task == "0", ended.stderr)
        self.assertEqual(list(self.folder.rglob("run*")), [])

    def test_a_world_of_another_size_than_expected_is_refused(self):
        for ranks, expected in [(1, 2), (4, 3)]:
            training = self.train(ranks, OPTIONS, {"parallel.expect_world": expected}, code=69)
            saw(self.assert_one_sentence(training.errors, "parallel.expect_world", str(expected),
                                         str(ranks)))
            self.assertFalse(training.run.exists())


if __name__ == "__main__":
    unittest.main()
