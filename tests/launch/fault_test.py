"""What a fault on one rank does to all: the exit code, one sentence, nobody left behind."""

import os
import re
import signal
import subprocess
import unittest

from processes import PATIENCE
from world import SLACK, World

PROGRAM = os.environ["GONDOLA_FAULT_PROGRAM"]
TIMEOUT = 2  # seconds that a collective may take
WITHIN = TIMEOUT + 10 + SLACK  # the end of all ranks


class FaultTest(unittest.TestCase):
    def start(self, what, rank=None, ranks=4, endpoints="endpoints"):
        world = World(ranks, PROGRAM, str(TIMEOUT), endpoints, what, *([str(rank)] if rank is not None else []))
        self.addCleanup(world.kill)
        return world

    def expect(self, world, code):
        returned, seconds = world.end()
        self.assertEqual(returned, code, world.errors)
        self.assertLess(seconds, WITHIN)
        self.assertEqual(world.survivors(), [])

    def only_sentence(self, world):
        self.assertEqual(len(world.sentences()), 1, world.errors)
        return world.sentences()[0]

    def test_a_rank_that_throws_ends_all_with_70_and_names_itself(self):
        world = self.start("throw", rank=2)
        world.wait_until_running()
        self.expect(world, 70)
        self.assertEqual(self.only_sentence(world), "gondola: rank 2: thrown at step 20")

    def test_an_error_that_all_ranks_find_is_said_once(self):
        world = self.start("throw-all")
        world.wait_until_running()
        self.expect(world, 64)
        self.assertEqual(self.only_sentence(world), "gondola: an option is wrong: choose another")
        self.assertNotIn("MPI_ABORT", world.errors)

    def test_a_rank_with_another_config_is_named_at_the_start(self):
        world = self.start("differ", rank=3)
        self.expect(world, 69)
        self.assertEqual(
            self.only_sentence(world),
            "gondola: the config of rank 3 is not that of the other ranks: "
            "give every rank the same config")

    def test_a_killed_rank_ends_all_with_137(self):
        world = self.start("run")
        world.wait_until_running()
        world.signal(1, signal.SIGKILL)
        self.expect(world, 137)

    def test_a_stopped_rank_ends_all_with_76_and_is_named(self):
        for stopped in (0, 3):
            with self.subTest(stopped=stopped):
                world = self.start("run")
                world.wait_until_running()
                world.signal(stopped, signal.SIGSTOP)
                self.expect(world, 76)
                sentence = self.only_sentence(world)
                self.assertIn(f": rank {stopped} does not answer;", sentence)
                self.assertRegex(sentence, r"collective \d+ at step \d+ has waited for \d+ seconds")
                # The lowest rank, unless it came to the collective much later than another.
                speaker = int(re.match(r"gondola: rank (\d): ", sentence)[1])
                self.assertNotEqual(speaker, stopped)

    def test_a_rank_that_stays_away_ends_all_with_76_and_is_named(self):
        world = self.start("absent", rank=1)
        world.wait_until_running()
        self.expect(world, 76)
        self.assertIn("rank 1 is alive at step 20 but has come to collective",
                      self.only_sentence(world))

    def test_without_endpoints_the_collective_is_named_once(self):
        world = self.start("run", endpoints="no-endpoints")
        world.wait_until_running()
        world.signal(0, signal.SIGSTOP)  # the rank that would speak first
        self.expect(world, 76)
        self.assertIn("could not be asked (--monitoring.bind)", self.only_sentence(world))

    def test_usr1_to_mpirun_stops_all_ranks_at_one_step_with_75(self):
        world = self.start("run")
        world.wait_until_running()
        world.process.send_signal(signal.SIGUSR1)
        self.expect(world, 75)
        self.assertEqual(world.sentences(), [])

    def test_term_on_one_rank_stops_all_with_75(self):
        world = self.start("run")
        world.wait_until_running()
        world.signal(3, signal.SIGTERM)
        self.expect(world, 75)

    def test_tasks_of_slurm_without_pmix_are_refused_and_one_of_them_speaks(self):
        for task in (0, 1):
            environment = {**os.environ, "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": str(task)}
            ended = subprocess.run([PROGRAM, "3", "no-endpoints", "run"], env=environment,
                                   capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(ended.returncode, 69, ended.stderr)
            self.assertEqual("srun --mpi=pmix" in ended.stderr, task == 0, ended.stderr)

    def test_ranks_of_one_machine_have_their_own_local_ranks(self):
        world = self.start("run", ranks=2)
        world.wait_until_running()
        world.process.send_signal(signal.SIGUSR1)
        self.expect(world, 75)
        self.assertIn("rank 0 local 0 of 2", world.output)
        self.assertIn("rank 1 local 1 of 2", world.output)


if __name__ == "__main__":
    unittest.main()
