"""Every family as a user meets it: it trains, is stopped and resumed on other ranks, is evaluated,
sampled, interpolated and exported; combinations that make no sense are refused with the cure."""

import json
import os
import subprocess
import unittest

from training import DECODERS, TINY, TrainingTest, flags, gondola, losses, rows, saw, write_idx

STEPS = 12
TRAIN = 120
FAMILIES = [
    ("vgon", "conv"), ("vgon", "siren"), ("classifier", "conv"),
    ("joint", "siren"), ("translation", "conv"), ("autoencoder", "conv"),
    ("tied_autoencoder", "conv"), ("vae", "conv"), ("glo", "conv"),
]
MEASURES = {
    "vgon": {"bits_per_dimension", "cross_entropy", "divergence", "reconstruction_loss"},
    "vae": {"bits_per_dimension", "cross_entropy", "divergence", "reconstruction_loss"},
    "classifier": {"accuracy", "reconstruction_loss"},
    "joint": {"accuracy", "cross_entropy"},
}


class FamiliesTest(TrainingTest):
    def setUp(self):
        super().setUp()
        self.images = self.dataset("images", TRAIN, 20)

    def dataset(self, name, train, test, height=28):
        folder = self.folder / name
        folder.mkdir()
        write_idx(folder, train, test, height=height, width=height)
        path = self.folder / f"{name}.h5"
        made = gondola("import", "idx", "--input", folder, "--output", path)
        self.assertEqual(made.returncode, 0, made.stderr)
        return path

    def options(self, family, decoder):
        options = {**TINY, **DECODERS[decoder], "data.path": self.images, "model.family": family,
                   "trainer.batch_size": 16, "trainer.steps": STEPS, "latent.search_steps": 5,
                   "optimizer.learning_rate": 3e-4, "evaluation.every_steps": 6}
        if family == "translation":
            targets = self.folder / "targets.h5"
            options["data.targets"] = targets if targets.exists() else self.dataset(
                "targets", TRAIN, 20)
        return options

    def run_gondola(self, *arguments):
        done = gondola(*arguments, folder=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def refused(self, code, options, *parts):
        done = gondola("train", *flags({"run.folder": "refused"}, options), folder=self.folder)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertFalse((self.folder / "refused").exists())
        for part in parts:
            self.assertIn(part, done.stderr)

    def test_the_other_modality_is_staged_and_cached_as_the_images_are(self):
        options = self.options("translation", dict(FAMILIES)["translation"])
        plain = self.train(1, options, run="plain")
        kept = self.train(2, options, {"data.stage": self.folder / "near", "data.cache": "host"},
                          run="kept")
        self.assertEqual(len(list((self.folder / "near").glob("*.h5"))), 2)
        self.assertEqual(kept.output.count("1 of 1 files copied"), 2)
        self.assert_same_losses(kept.run, plain.run, 1e-9)

    def test_a_run_goes_on_with_the_targets_that_it_began_with_only(self):
        options = self.options("translation", dict(FAMILIES)["translation"])
        self.train(1, options, {"trainer.steps": 5}, run="kept")
        pixels = self.folder / "targets" / "train-images-idx3-ubyte"
        whole = pixels.read_bytes()
        pixels.write_bytes(whole[:16] + bytes(255 - value for value in whole[16:]))
        self.folder.joinpath("targets.h5").unlink()
        self.run_gondola("import", "idx", "--input", self.folder / "targets", "--output",
                         self.folder / "targets.h5")
        done = gondola("train", *flags({"run.folder": "kept", "run.resume": "auto"}, options),
                       folder=self.folder)
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("targets.h5 are not those", done.stderr)

    def test_each_trains_resumes_on_other_ranks_and_is_used(self):
        for family, decoder in FAMILIES:
            with self.subTest(family=family, decoder=decoder):
                name = f"{family}-{decoder}"
                options = self.options(family, decoder)
                whole = self.train(1, options, run=f"{name}-whole").run
                self.assert_the_table_has_every_number(whole)
                self.train(2, options, {"trainer.steps": 5}, run=f"{name}-parts")
                parts = self.train(3, options, {"run.resume": "auto"}, run=f"{name}-parts").run
                ours = {key: loss for key, loss in losses(parts).items() if key != ("eval", 5)}
                theirs = losses(whole)
                self.assertEqual(ours.keys(), theirs.keys())
                worst = max(abs(ours[key] / loss - 1) for key, loss in theirs.items())
                self.assertLessEqual(worst, 1e-10)
                saw(f"{name}: 5 steps on 2 ranks and 7 on 3 against 12 on 1: {worst:.1e}")

                measured = json.loads(self.run_gondola("eval", whole, "--json"))
                self.assertEqual(measured["family"], family)
                self.assertLessEqual({"loss", "psnr", "ssim", *MEASURES.get(family, ())},
                                     measured.keys())
                self.assertAlmostEqual(measured["loss"] / rows(whole, "eval")[-1]["loss"], 1,
                                       delta=1e-10)
                said = self.run_gondola("sample", whole, "--images", 8)
                self.assertIn("prior N(0, I)" if family in ("vgon", "vae") else "fitted to", said)
                self.run_gondola("interpolate", whole, "--images", 6, "--points", 5)
                self.run_gondola("encode", whole)
                self.run_gondola("export", whole)
                for made in ("samples.png", "interpolation.png", "latents-test.h5",
                             "weights.safetensors"):
                    self.assertGreater((whole / made).stat().st_size, 100, made)

    def test_each_that_diverges_ends_with_a_word(self):
        for family, decoder in [("gon", "conv"), ("gon", "siren"), *FAMILIES]:
            with self.subTest(family=family, decoder=decoder):
                options = self.options(family, decoder)
                diverged = self.train(1, options, {
                    "trainer.precision": "float32", "optimizer.learning_rate": 1e30,
                    "trainer.steps": 40, "trainer.on_nonfinite": "stop", "evaluation.every_steps": 0,
                }, run=f"{family}-{decoder}-diverged", code=71)
                self.assert_one_sentence(diverged.errors, "training diverged at step")

    def test_combinations_that_make_no_sense_are_refused(self):
        gon = self.options("gon", "conv")
        self.refused(64, {**gon, "model.family": "vgn"}, "vgon")
        self.refused(64, {**gon, "model.family": "translation"}, "data.targets")
        self.refused(64, {**gon, "data.targets": self.images}, "model.family = translation")
        self.refused(64, {**gon, "model.family": "vgon", "latent.steps": 3}, "latent.steps = 1")
        self.refused(64, {**gon, "model.family": "vae", "model.decoder": "siren"},
                     "model.decoder = conv")
        self.refused(64, {**gon, "model.family": "vgon", "latent.spatial": 4},
                     "latent.spatial = 1")
        self.refused(64, {**gon, "model.family": "glo", "latent.detach": "true"}, "no inner pass")
        self.refused(64, {**gon, "model.family": "vgon", "latent.path": "shared_origin"},
                     "noise of their own")
        self.refused(64, {**gon, "model.family": "classifier", "model.classes": 1},
                     "model.classes = 1")
        self.refused(64, {**gon, "model.family": "glo", "trainer.cuda_graph": "true"},
                     "trainer.cuda_graph = true", "exchange latents")

    def test_data_that_a_family_cannot_use_is_refused(self):
        classifier = self.options("classifier", "conv")
        unlabelled = self.folder / "unlabelled.h5"
        subprocess.run([os.environ["GONDOLA_MAKE_DATASET"], unlabelled, "good"], check=True)
        self.refused(65, {**classifier, "data.path": unlabelled}, "no labels")
        self.refused(65, {**classifier, "model.classes": 4}, "label", "model.classes")
        fewer = self.dataset("fewer", TRAIN - 20, 20)
        self.refused(65, {**self.options("gon", "conv"), "model.family": "translation",
                          "data.targets": fewer}, str(fewer), "as many images")

    def test_a_checkpoint_of_another_family_is_refused(self):
        run = self.train(1, self.options("vae", "conv"), {"trainer.steps": 2}, run="first").run
        other = self.options("autoencoder", "conv")
        done = gondola("train", *flags(other, {"run.folder": "other", "checkpoint.init": run}),
                       folder=self.folder)
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assert_one_sentence(done.stderr, "another model")
        done = gondola("train", *flags(other, {"run.folder": run, "run.resume": "auto"}),
                       folder=self.folder)
        self.assertEqual(done.returncode, 64, done.stderr)
        self.assertIn("model.family", done.stderr)


if __name__ == "__main__":
    unittest.main()
