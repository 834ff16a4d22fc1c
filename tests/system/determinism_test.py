"""With parallel.deterministic a run is repeated bit for bit on as many ranks."""

import unittest

from training import DECODERS, TINY, TrainingTest, digest, losses

OPTIONS = {**TINY, "trainer.precision": "float32", "trainer.steps": 40, "trainer.ema_decay": 0.9,
           "evaluation.every_steps": 20, "parallel.deterministic": "true"}


class DeterminismTest(TrainingTest):
    def run_twice(self, ranks, *options):
        first, second = (self.train(ranks, OPTIONS, *options,
                                    folder=self.folder / f"{ranks}-{name}").run
                         for name in ("first", "second"))
        self.assertEqual(losses(first), losses(second))
        self.assertEqual(digest(first), digest(second))
        return digest(first)

    def check(self, *options):
        alone = self.run_twice(1, {"parallel.threads": 2}, *options)
        together = self.run_twice(2, *options)
        self.assertNotEqual(alone, together)  # the digest is of something

    def test_siren_weights_are_the_same_bits(self):
        self.check(DECODERS["siren"])

    def test_conv_weights_are_the_same_bits(self):
        self.check(DECODERS["conv"])


if __name__ == "__main__":
    unittest.main()
