#!/usr/bin/env python3
"""Reference curves of one or two seeds again in plain PyTorch, for more seeds.

    plain_pytorch.py CURVE DATASET.h5 SEED...

CURVE is conv_detach10_fashion, joint_mnist or joint_mnist_ce0.01: prints the squared error of the first
1000 test images in groups of 100 with batch statistics after its network, data and budget, a line a seed,
and the mean. DATASET.h5 is Fashion-MNIST or MNIST at 32x32 as `gondola import` makes it. Needs torch, h5py
and numpy.
"""

import statistics
import sys

import h5py
import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

STEPS, BATCH, LATENT, FILTERS = 1000, 64, 32, 16
SCALE = 1 / (BATCH * 32 * 32)


def decoder():
    widths = [LATENT, 4 * FILTERS, 2 * FILTERS, FILTERS]
    layers = []
    for index, (fan_in, out) in enumerate(zip(widths, widths[1:])):
        strides = (4, 1, 0) if index == 0 else (4, 2, 1)
        layers += [nn.ConvTranspose2d(fan_in, out, *strides), nn.BatchNorm2d(out), nn.ELU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(FILTERS, 1, 4, 2, 1), nn.Sigmoid())


class Detached:
    """Ten inner steps of a tenth each, whose gradients the weights do not see."""

    def __init__(self):
        self.network = decoder()

    def parameters(self):
        return self.network.parameters()

    def latents(self, images):
        z = torch.zeros(len(images), LATENT, 1, 1)
        for _ in range(10):
            z.requires_grad_(True)
            error = (self.network(z) - images).square().sum()
            z = (z - 0.1 * SCALE * torch.autograd.grad(error, z)[0]).detach()
        return z

    def loss(self, images, labels):
        return (self.network(self.latents(images)) - images).square().sum() * SCALE


class Joint:
    """Reconstruction and a linear classifier on the latents of one step."""

    def __init__(self, weight):
        self.network = decoder()
        self.head = nn.Linear(LATENT, 10)
        self.weight = weight

    def parameters(self):
        return [*self.network.parameters(), *self.head.parameters()]

    def latents(self, images):
        z = torch.zeros(len(images), LATENT, 1, 1, requires_grad=True)
        error = (self.network(z) - images).square().sum() * SCALE
        return -torch.autograd.grad(error, z, create_graph=True)[0]

    def loss(self, images, labels):
        z = self.latents(images)
        entropy = cross_entropy(self.head(z.flatten(1)), labels)
        return (self.network(z) - images).square().sum() * SCALE + self.weight * entropy


METHODS = {"conv_detach10_fashion": Detached, "joint_mnist": lambda: Joint(1.0),
           "joint_mnist_ce0.01": lambda: Joint(0.01)}


def train_and_measure(make, train, labels, test, seed):
    torch.manual_seed(seed)
    method = make()
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-4)
    order = torch.randperm(len(train))
    for step in range(STEPS):
        batch = order[step * BATCH % len(train):][:BATCH]
        optimizer.zero_grad()
        method.loss(train[batch].float().div_(255), labels[batch]).backward()
        optimizer.step()
    error = 0.0
    for group in test.split(100):
        images = group.float().div_(255)
        z = method.latents(images).detach()
        with torch.no_grad():
            error += (method.network(z) - images).square().sum().item()
    return error / len(test)


def main():
    if len(sys.argv) < 4 or sys.argv[1] not in METHODS:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    with h5py.File(sys.argv[2], "r") as file:
        train = torch.from_numpy(np.asarray(file["train/images"]))
        labels = torch.from_numpy(np.asarray(file["train/labels"])).long()
        test = torch.from_numpy(np.asarray(file["test/images"][:1000]))
    errors = []
    for seed in map(int, sys.argv[3:]):
        errors.append(train_and_measure(METHODS[sys.argv[1]], train, labels, test, seed))
        print(f"seed {seed}: {errors[-1]:.2f}", flush=True)
    print(f"mean {statistics.fmean(errors):.2f}")


if __name__ == "__main__":
    main()
