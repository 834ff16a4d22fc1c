"""Images a second of Gondola's loader beside those of loaders for Python: run it by loader.sh.

Each loader is a process of its own on one core that gives shuffled batches of 64 images as float32 in
[0, 1]; a turn of each after the other makes a round. A ratio is taken inside a round, so that what else
the machine does falls on both sides; the table has the medians over the rounds. Where other programs run
on the same cores, processor time tells more than the clock: both are there.
"""

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import h5py
import numpy as np

BATCH = 64
SCALE = np.float32(1 / 255)
NOISE = {"noise-28": (60000, 1, 28, 28), "noise-64": (20000, 3, 64, 64)}


# -- The images in each loader's format -------------------------------------------------------------


def make_noise(gondola, path, shape):
    plain = path.with_suffix(".plain.h5")
    random = np.random.default_rng(0)
    with h5py.File(plain, "w") as file:
        images = file.create_dataset("train/images", shape, np.uint8)
        for first in range(0, shape[0], 1000):
            part = images[first:first + 1000].shape
            images[first:first + 1000] = random.integers(0, 256, part, np.uint8)
    subprocess.run([gondola, "import", "hdf5", "--input", plain, "--output", path],
                   check=True, stdout=subprocess.DEVNULL)
    plain.unlink()


def images_of(path):
    """The images of a data set file, mapped: they lie in it as one run of bytes."""
    with h5py.File(path, "r") as file:
        images = file["train/images"]
        return np.memmap(path, np.uint8, "r", images.id.get_offset(), images.shape)


def write_mosaic(images, folder):
    from streaming import MDSWriter
    shape = ",".join(map(str, images.shape[1:]))
    with MDSWriter(out=str(folder), columns={"x": f"ndarray:uint8:{shape}"}, size_limit=1 << 26) as writer:
        for image in images:
            writer.write({"x": np.ascontiguousarray(image)})


def write_webdataset(images, folder):
    import webdataset
    folder.mkdir()
    shard = 5000
    for first in range(0, len(images), shard):
        with webdataset.TarWriter(str(folder / f"{first // shard:05d}.tar")) as writer:
            for i in range(first, min(first + shard, len(images))):
                writer.write({"__key__": f"{i:07d}", "bin": images[i].tobytes()})


def write_grain(images, path):
    from array_record.python import array_record_module
    writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1,uncompressed")
    for image in images:
        writer.write(image.tobytes())
    writer.close()


def write_formats(data, folder):
    images = images_of(data)
    for name, write in (("mosaic", write_mosaic), ("webdataset", write_webdataset), ("grain", write_grain)):
        done = folder / f"{name}.complete"
        if not done.exists():
            subprocess.run(["rm", "-rf", folder / name], check=True)
            write(images, folder / name)
            done.touch()


# -- The loaders, as generators of batches without an end -------------------------------------------


def endless(loader):
    while True:
        yield from loader


def numpy_batches(data, folder):
    images, random = images_of(data), np.random.default_rng(0)
    out = np.empty((BATCH,) + images.shape[1:], np.float32)
    while True:
        order = random.permutation(len(images))
        for first in range(0, len(images) - BATCH + 1, BATCH):
            np.multiply(images[order[first:first + BATCH]], SCALE, out=out, dtype=np.float32)
            yield out


def h5py_batches(data, folder, workers):
    import torch
    from torch.utils.data import DataLoader, Dataset
    torch.set_num_threads(1)

    class Images(Dataset):
        file = None

        def __len__(self):
            return len(images_of(data))

        def __getitem__(self, index):
            if self.file is None:  # opened in the worker: an open file does not outlive a fork
                self.file = h5py.File(data, "r")
                self.images = self.file["train/images"]
            return torch.from_numpy(self.images[index]).float().mul_(SCALE)

    return endless(DataLoader(Images(), BATCH, shuffle=True, num_workers=workers, drop_last=True,
                              persistent_workers=workers > 0))


def mosaic_batches(data, folder):
    import streaming
    import torch
    from torch.utils.data import DataLoader
    torch.set_num_threads(1)
    streaming.base.util.clean_stale_shared_memory()
    images = streaming.StreamingDataset(local=str(folder / "mosaic"), shuffle=True, batch_size=BATCH,
                                        num_canonical_nodes=1)
    for batch in endless(DataLoader(images, BATCH, drop_last=True)):
        yield batch["x"].float().mul_(SCALE)


def webdataset_batches(data, folder):
    import torch
    import webdataset
    torch.set_num_threads(1)
    shape = images_of(data).shape[1:]

    def unpack(sample):
        return torch.frombuffer(bytearray(sample["bin"]), dtype=torch.uint8).view(shape)

    shards = sorted(map(str, (folder / "webdataset").glob("*.tar")))
    return endless(webdataset.WebDataset(shards, shardshuffle=100, nodesplitter=None)
                   .shuffle(2000).map(unpack)
                   .batched(BATCH, collation_fn=lambda images: torch.stack(images).float().mul_(SCALE),
                            partial=False))


def grain_batches(data, folder):
    import grain
    from absl import flags
    flags.FLAGS.mark_as_parsed()
    shape = images_of(data).shape[1:]
    records = grain.sources.ArrayRecordDataSource(str(folder / "grain"))
    batches = (grain.MapDataset.source(records).seed(1).shuffle()
               .map(lambda record: np.frombuffer(record, np.uint8).reshape(shape))
               .batch(BATCH, drop_remainder=True).map(lambda images: images * SCALE).repeat())
    return iter(batches.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=16)))


LOADERS = {
    "numpy memmap, gather and cast": numpy_batches,
    "h5py + DataLoader, no workers": lambda *where: h5py_batches(*where, 0),
    "h5py + DataLoader, 2 workers": lambda *where: h5py_batches(*where, 2),
    "mosaicml-streaming": mosaic_batches,
    "webdataset": webdataset_batches,
    "grain": grain_batches,
}
PACKAGES = ["numpy", "h5py", "torch", "mosaicml-streaming", "webdataset", "grain"]


def processor_seconds():
    """Of this process and its workers."""
    import psutil
    workers = psutil.Process().children(recursive=True)
    return time.process_time() + sum(sum(worker.cpu_times()[:2]) for worker in workers)


def serve(name, data, folder):
    """Answers each line of stdin by the images a second, of time and of processor time, of one turn of so
    many seconds."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print
    batches = LOADERS[name](data, folder)
    for _ in range(2):
        batch = next(batches)
    kind = str(batch.dtype)
    assert tuple(batch.shape) == (BATCH,) + images_of(data).shape[1:] and kind.endswith("float32"), kind
    assert 0 <= float(batch.min()) and 0.1 < float(batch.max()) <= 1, "not values in [0, 1]"
    for line in sys.stdin:
        seconds, count = float(line), 0
        start, start_of_processor = time.perf_counter(), processor_seconds()
        while time.perf_counter() - start < seconds:
            for _ in range(8):
                next(batches)
            count += 8 * BATCH
        print(count / (time.perf_counter() - start),
              count / (processor_seconds() - start_of_processor), file=answers, flush=True)


# -- The comparison ---------------------------------------------------------------------------------


class Peer:
    def __init__(self, name, data, folder, core):
        # With workers a loader may have all cores: on one they only cost.
        pin = [] if "workers" in name and "no workers" not in name else ["taskset", "-c", str(core)]
        with open(folder / "peers.log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*pin, sys.executable, "-B", __file__, "--serve", name, "--data", data, "--folder", folder],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""})

    def turn(self, seconds):
        print(seconds, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"loader: {self.process.args} ended; its words are in peers.log")
        return tuple(map(float, line.split()))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def turn_of_gondola(program, data, core, repeats):
    done = subprocess.run(
        ["taskset", "-c", str(core), program, "bench", "loader", "--data.path", data,
         "--data.shuffle", "full", "--data.cache", "none", "--bench.threads", "1",
         "--trainer.batch_size", str(BATCH), "--bench.repeats", str(repeats)],
        check=True, capture_output=True, text=True)
    result = json.loads(done.stdout)
    return result["images_per_second"]["median"], 1e6 / result["cpu_seconds_per_million_images"]


def compare(data, folder, arguments):
    write_formats(data, folder)
    shape = images_of(data).shape
    peers = {name: Peer(name, data, folder, arguments.core) for name in LOADERS}
    rounds = []
    try:
        for name, peer in peers.items():
            peer.turn(0.2)  # warm
        for _ in range(arguments.rounds):
            mine = turn_of_gondola(arguments.gondola, data, arguments.core, 7)
            rounds.append({"gondola": mine, **{name: peer.turn(arguments.seconds)
                                               for name, peer in peers.items()}})
    finally:
        for peer in peers.values():
            peer.close()
    size = "x".join(map(str, shape[1:]))
    print(f"\n{shape[0]} images {size}, batches of {BATCH}, shuffled, warm, "
          f"{arguments.rounds} rounds\n")
    print("| loader | images/s | gondola to it, median (range) | images per processor second "
          "| gondola to it, median (range) |\n|---|---|---|---|---|")
    for name in rounds[0]:
        row = [name]
        for which in (0, 1):
            rates = [each[name][which] for each in rounds]
            ratios = [each["gondola"][which] / each[name][which] for each in rounds]
            told = f"{statistics.median(ratios):.3g} ({min(ratios):.3g} to {max(ratios):.3g})"
            row += [f"{statistics.median(rates):,.0f}", "" if name == "gondola" else told]
        print("| " + " | ".join(row) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--gondola")
    parser.add_argument("--data", type=Path, action="append", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--serve")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    if arguments.serve:
        serve(arguments.serve, arguments.data[0], arguments.folder)
        return
    data_sets = {}
    for path in arguments.data:
        data_sets[path] = arguments.folder / f"{path.stem}-{path.stat().st_size}"
    if not data_sets:
        for name, shape in NOISE.items():
            folder = arguments.folder / name
            path = folder / "images.h5"
            folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                make_noise(arguments.gondola, path, shape)
            data_sets[path] = folder
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES))
    for path, folder in data_sets.items():
        folder.mkdir(parents=True, exist_ok=True)
        compare(path, folder, arguments)


if __name__ == "__main__":
    main()
