"""What `gondola export` writes is loaded by PyTorch, and the same model built there, encoded there by
differentiating twice, has the loss that `gondola eval` reports."""

import json
import struct
import sys
import unittest
import warnings
import zlib

warnings.filterwarnings("ignore")  # of PyTorch about a missing numpy
try:
    import torch
except ModuleNotFoundError as error:  # libtorch is all that a build needs of the wheel
    print(f"SKIPPED: PyTorch's Python part lacks the module {error.name}")
    sys.exit(77)

from training import DECODERS, TINY, TrainingTest, gondola, saw

IMAGES = 24


def read_safetensors(path):
    with open(path, "rb") as file:
        length, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    kinds = {"F32": torch.float32, "F64": torch.float64}
    return {name: torch.frombuffer(data[slice(*entry["data_offsets"])], dtype=kinds[entry["dtype"]])
            .view(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}


def read_png(path):
    """Of a grey picture of 8 bits: width, height, filtered rows."""
    data, position, body = open(path, "rb").read(), 8, b""
    while position < len(data):
        size, kind = struct.unpack(">I4s", data[position:position + 8])
        chunk = data[position + 8:position + 8 + size]
        if kind == b"IHDR":
            width, height = struct.unpack(">II", chunk[:8])
        body += chunk if kind == b"IDAT" else b""
        position += size + 12
    raw = zlib.decompress(body)
    return width, height, raw


class Conv:
    def __init__(self, weights):
        self.w, self.layers = weights, sum(".weight" in n and "dec.conv" in n for n in weights)

    def __call__(self, z, batch_statistics):
        w, x = self.w, z.view(*z.shape, 1, 1)
        for i in range(self.layers):
            kernel = w[f"dec.conv{i}.weight"]
            first = i == 0
            x = torch.nn.functional.conv_transpose2d(
                x, kernel, w[f"dec.conv{i}.bias"], stride=1 if first else 2,
                padding=0 if first else 1)
            if i + 1 == self.layers:
                return x.sigmoid()
            x = torch.nn.functional.batch_norm(
                x, w[f"dec.bn{i}.running_mean"].clone(), w[f"dec.bn{i}.running_var"].clone(),
                w[f"dec.bn{i}.weight"], w[f"dec.bn{i}.bias"], training=batch_statistics)
            x = torch.nn.functional.elu(x)
        raise AssertionError("no layers")


class Siren:
    def __init__(self, weights, height, width):
        self.w, self.layers = weights, sum(".weight" in n for n in weights)
        axes = [torch.linspace(-1, 1, n, dtype=torch.float64) for n in (height, width)]
        self.points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(-1, 2)
        self.size = height, width

    def __call__(self, z, _):
        points = self.points.expand(len(z), -1, -1)
        h = torch.cat([points, z.unsqueeze(1).expand(-1, points.shape[1], -1)], -1)
        for i in range(self.layers):
            h = torch.nn.functional.linear(h, self.w[f"siren.layer{i}.weight"],
                                           self.w[f"siren.layer{i}.bias"])
            if i + 1 < self.layers:
                h = torch.sin(30 * h)
        return h.transpose(1, 2).reshape(len(z), -1, *self.size)


def latents_of(decoder, images, mean, step_size, size):
    """One at a time: an image and its mirror about the mean have the mean's statistics."""
    latents = []
    for image in images:
        pair = torch.stack([image, 2 * mean[0] - image])
        z = torch.zeros(2, size, dtype=torch.float64, requires_grad=True)
        loss = (decoder(z, True) - pair).square().sum()
        latents.append(-step_size * torch.autograd.grad(loss, z)[0][0])
    return torch.stack(latents)


class ExportedWeightsTest(TrainingTest):
    def check(self, kind):
        options = {**TINY, **DECODERS[kind], "data.path": "synthetic:200x1x32x32",
                   "trainer.steps": 10}
        run = self.train(1, options).run
        for form in ("safetensors", "pt", "hdf5"):
            done = gondola("export", run, "--format", form)
            self.assertEqual(done.returncode, 0, done.stderr)
        weights = read_safetensors(run / "weights.safetensors")
        loaded = torch.load(run / "weights.pt", weights_only=True)
        self.assertEqual(list(loaded), list(weights))
        for name, tensor in weights.items():
            self.assertTrue(torch.equal(loaded[name], tensor), name)
        self.assertEqual((run / "weights.h5").read_bytes()[:8], b"\x89HDF\r\n\x1a\n")

        measured = json.loads(gondola("eval", run, "--split", "train", "--images", IMAGES,
                                      "--json").stdout)
        images = self.training_images(run)
        mean = weights.pop("mean_image")
        decoder = Conv(weights) if kind == "conv" else Siren(weights, 32, 32)
        batch = TINY["trainer.batch_size"]
        scale = 1 / batch / (32 * 32 if kind == "conv" else 1)
        z = latents_of(decoder, images, mean, scale, TINY["latent.size"])
        loss = (decoder(z, False) - images).square().sum((1, 2, 3)).mean().item()
        self.assertAlmostEqual(loss / measured["loss"], 1, delta=1e-5)
        saw(f"{kind}: loss of {IMAGES} images {loss:.10f} in PyTorch, {measured['loss']:.10f} here")

    def training_images(self, run):
        """Read back from the picture of the originals, 8 bits a value as they are stored."""
        done = gondola("reconstruct", run, "--split", "train", "--images", IMAGES)
        self.assertEqual(done.returncode, 0, done.stderr)
        width, height, raw = read_png(run / "reconstruction-32x32.png")
        rows = unfiltered(raw, width, height)
        return originals(rows, 32, IMAGES)

    def test_conv(self):
        self.check("conv")

    def test_siren(self):
        self.check("siren")


def unfiltered(raw, width, height):
    """Undoes PNG's filters of grey rows."""
    rows, above = [], bytearray(width)
    for y in range(height):
        kind, line = raw[y * (width + 1)], bytearray(raw[y * (width + 1) + 1:(y + 1) * (width + 1)])
        for x in range(width):
            left, up = line[x - 1] if x else 0, above[x]
            corner = above[x - 1] if x else 0
            guess = left + up - corner
            nearest = min((abs(guess - v), i, v) for i, v in enumerate((left, up, corner)))[2]
            line[x] = (line[x] + (0, left, up, (left + up) // 2, nearest)[kind]) % 256
        rows.append(line)
        above = line
    return rows


def originals(rows, side, count):
    """The upper images of a grid of pairs: up to 16 in a row, 2 pixels apart, 8 between rows."""
    columns = min(count, 16)
    scale = max(1, -(-(512 - (columns - 1) * 2) // (columns * side)))
    cell = side * scale
    images = []
    for index in range(count):
        left, top = index % columns * (cell + 2), index // columns * (2 * cell + 2 + 8)
        images.append([[rows[top + y * scale][left + x * scale] for x in range(side)]
                       for y in range(side)])
    return torch.tensor(images, dtype=torch.float64).unsqueeze(1) / 255


if __name__ == "__main__":
    unittest.main()
