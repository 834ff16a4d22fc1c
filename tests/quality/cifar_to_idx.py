#!/usr/bin/env python3
"""cifar_to_idx.py FOLDER OUTPUT: IDX files of CIFAR-10's first training batch and its test batch.

FOLDER holds data_batch_1.bin.xz and test_batch.bin.xz of the binary version: records of a label and
3x32x32 bytes. OUTPUT gets images [N, 3, 32, 32] and labels [N] under MNIST's file names.
"""

import lzma
import struct
import sys
from pathlib import Path

IMAGE = 3 * 32 * 32


def main(folder, output):
    output.mkdir(parents=True, exist_ok=True)
    for batch, part in [("data_batch_1", "train"), ("test_batch", "t10k")]:
        data = lzma.decompress((folder / f"{batch}.bin.xz").read_bytes())
        count, rest = divmod(len(data), 1 + IMAGE)
        if count == 0 or rest:
            sys.exit(f"{folder / batch}.bin.xz is not CIFAR-10: {len(data)} bytes are no whole records")
        labels = data[:: 1 + IMAGE]
        images = b"".join(data[at + 1: at + 1 + IMAGE] for at in range(0, len(data), 1 + IMAGE))
        (output / f"{part}-images-idx4-ubyte").write_bytes(
            struct.pack(">BBBB4I", 0, 0, 8, 4, count, 3, 32, 32) + images)
        (output / f"{part}-labels-idx1-ubyte").write_bytes(
            struct.pack(">BBBBI", 0, 0, 8, 1, count) + labels)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
