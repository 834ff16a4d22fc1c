#!/usr/bin/env python3
"""Makes tests/data/pillow.h5: pictures as Pillow packs, unpacks and resamples them.

    python3 -m venv /tmp/pillow && /tmp/pillow/bin/pip install Pillow==13.0.0 numpy h5py
    /tmp/pillow/bin/python tests/data/make_pillow_fixtures.py

decode/NAME  bytes   a file, in the format that the name begins with
             pixels  [C, H, W], what Pillow unpacks from it
resize/NAME  input   [C, H, W]
             FILTER to HEIGHTxWIDTH   [C, HEIGHT, WIDTH], what Pillow makes of it
"""

import io
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 19, 13
FILTERS = {"box": Image.BOX, "bilinear": Image.BILINEAR,
           "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}


def picture(height, width, channels, seed):
    """Slopes, an edge and some noise: [H, W, C]."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [(rows * (9 + c) + columns * (7 - 3 * c)) % 256 for c in range(channels)]
    pixels = np.stack(planes, axis=-1) // 2 + random.integers(0, 64, (height, width, channels))
    pixels[height // 3:height // 2, width // 4:] = [[255, 0, 128, 77][:channels]]
    return pixels.astype(np.uint8)


def saved(image, **options):
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


def png(colour_type, depth, width, height, rows, interlaced, extra=b""):
    """A PNG of rows of bytes that are packed already, for what Pillow cannot write."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    data = b"".join(b"\0" + row for row in rows)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra
            + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def interlaced_rows(pixels):
    for top, left, down, right in [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4),
                                   (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]:
        for row in pixels[top::down, left::right]:
            if row.size:
                yield row.tobytes()


def packed_pictures():
    rgb = picture(HEIGHT, WIDTH, 3, seed=1)
    grey = rgb[:, :, 0]
    rgba = picture(HEIGHT, WIDTH, 4, seed=2)
    wide = np.random.default_rng(3).integers(0, 65536, (HEIGHT, WIDTH, 3)).astype(">u2")
    colour, plain = Image.fromarray(rgb), Image.fromarray(grey)
    palette = colour.quantize(16)
    yield "jpeg baseline", saved(colour, format="JPEG", quality=85)
    yield "jpeg without subsampling", saved(colour, format="JPEG", quality=95, subsampling=0)
    yield "jpeg progressive", saved(colour, format="JPEG", quality=80, progressive=True)
    yield "jpeg with restarts", saved(colour, format="JPEG", restart_marker_blocks=1)
    yield "jpeg grey", saved(plain, format="JPEG", quality=90)
    yield "png grey", saved(plain, format="PNG")
    yield "png of one bit", saved(plain.convert("1"), format="PNG")
    yield "png colour", saved(colour, format="PNG")
    yield "png palette", saved(palette, format="PNG")
    yield "png palette with transparency", saved(palette, format="PNG", transparency=b"\0\x40\xff")
    yield "png grey with alpha", saved(Image.fromarray(rgba[:, :, :2], "LA"), format="PNG")
    yield "png colour with alpha", saved(Image.fromarray(rgba), format="PNG")
    yield "png colour with a transparent one", saved(colour, format="PNG", transparency=(1, 2, 3))
    yield "png colour of 16 bits", png(2, 16, WIDTH, HEIGHT, [r.tobytes() for r in wide], False)
    yield "png grey of 16 bits", png(0, 16, WIDTH, HEIGHT,
                                     [r.tobytes() for r in wide[:, :, 0]], False)
    yield "png interlaced colour", png(2, 8, WIDTH, HEIGHT, interlaced_rows(rgb), True)
    yield "png interlaced grey", png(0, 8, WIDTH, HEIGHT, interlaced_rows(grey), True)
    yield "webp lossy", saved(colour, format="WEBP", quality=80)
    yield "webp lossless", saved(colour, format="WEBP", lossless=True)
    yield "webp with alpha", saved(Image.fromarray(rgba), format="WEBP", lossless=True, exact=True)
    yield "webp lossy with alpha", saved(Image.fromarray(rgba), format="WEBP", exact=True)


def unpacked(data):
    """[C, H, W] as Pillow has it, but the upper byte of a grey picture of 16 bits: Pillow's own
    conversion makes 255 of all that is above 255."""
    image = Image.open(io.BytesIO(data))
    if image.mode.startswith("I"):
        return (np.asarray(image) >> 8).astype(np.uint8)[None]
    if image.mode in ("1", "L", "LA"):
        return np.asarray(image.convert("L"))[None]
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def resampled(pixels, height, width, kind):
    planes = [np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((width, height), kind))
              for plane in pixels]
    return np.stack(planes)


def main():
    with h5py.File(Path(__file__).with_name("pillow.h5"), "w", libver="latest") as file:
        for name, data in packed_pictures():
            group = file.create_group("decode/" + name)
            group["bytes"] = np.frombuffer(data, np.uint8)
            group["pixels"] = unpacked(data)
        for colours, channels, sizes in [
                ("grey", 1, [(9, 40), (34, 10), (17, 11), (40, 24), (3, 5), (31, 45)]),
                ("colour", 3, [(12, 14), (21, 30), (7, 18), (7, 20)])]:
            group = file.create_group("resize/" + colours)
            pixels = picture(17, 24, channels, seed=4).transpose(2, 0, 1)
            group["input"] = pixels
            for height, width in sizes:
                for name, kind in FILTERS.items():
                    group[f"{name} to {height}x{width}"] = resampled(pixels, height, width, kind)


if __name__ == "__main__":
    main()
