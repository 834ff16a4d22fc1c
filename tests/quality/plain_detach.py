#!/usr/bin/env python3
"""Ten detached inner steps in plain PyTorch, for seeds other than the reference's one.

    plain_detach.py DATASET.h5 SEED...

The network, the data and the budget of the curve conv_detach10_fashion: prints the squared error of the
first 1000 test images in groups of 100 with batch statistics, a line a seed, and their mean. DATASET.h5 is
Fashion-MNIST at 32x32 as `gondola import` makes it. Needs torch, h5py and numpy.
"""

import statistics
import sys

import h5py
import numpy as np
import torch
from torch import nn

STEPS, BATCH, LATENT, FILTERS, INNER_STEPS = 1000, 64, 32, 16, 10
SCALE = 1 / (BATCH * 32 * 32)


def decoder():
    widths = [LATENT, 4 * FILTERS, 2 * FILTERS, FILTERS]
    layers = []
    for index, (fan_in, out) in enumerate(zip(widths, widths[1:])):
        strides = (4, 1, 0) if index == 0 else (4, 2, 1)
        layers += [nn.ConvTranspose2d(fan_in, out, *strides), nn.BatchNorm2d(out), nn.ELU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(FILTERS, 1, 4, 2, 1), nn.Sigmoid())


def latents(network, images):
    z = torch.zeros(len(images), LATENT, 1, 1)
    for _ in range(INNER_STEPS):
        z.requires_grad_(True)
        error = (network(z) - images).square().sum()
        z = (z - 0.1 * SCALE * torch.autograd.grad(error, z)[0]).detach()
    return z


def train_and_measure(train, test, seed):
    torch.manual_seed(seed)
    network = decoder()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    order = torch.randperm(len(train))
    for step in range(STEPS):
        images = train[order[step * BATCH % len(train):][:BATCH]].float().div_(255)
        z = latents(network, images)
        optimizer.zero_grad()
        ((network(z) - images).square().sum() * SCALE).backward()
        optimizer.step()
    error = 0.0
    for group in test.split(100):
        images = group.float().div_(255)
        z = latents(network, images)
        with torch.no_grad():
            error += (network(z) - images).square().sum().item()
    return error / len(test)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    with h5py.File(sys.argv[1], "r") as file:
        train = torch.from_numpy(np.asarray(file["train/images"]))
        test = torch.from_numpy(np.asarray(file["test/images"][:1000]))
    errors = []
    for seed in map(int, sys.argv[2:]):
        errors.append(train_and_measure(train, test, seed))
        print(f"seed {seed}: {errors[-1]:.2f}", flush=True)
    print(f"mean {statistics.fmean(errors):.2f}")


if __name__ == "__main__":
    main()
