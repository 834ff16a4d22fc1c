"""Seconds of a training step of an implicit GON in Gondola beside PyTorch and JAX: run it by step.sh.

Each peer is a process of its own on one core that makes one step when it is told to; a step of each
after the other makes a round, and a ratio is taken inside a round. The first step of every peer starts
from the same weights and images, and its loss has to agree with the others'.
"""

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

BATCH, SIDE, LATENT, HIDDEN, LAYERS, W0 = 64, 28, 32, 256, 4, 30.0
STEP_SIZE = 1 / BATCH  # one channel
RATE = 1e-4


def problem():
    """Weights [(W [out, in], b [out])], coordinates [N, 2] in [-1, 1], images [B, N, 1]."""
    random = np.random.default_rng(0)
    widths = [2 + LATENT] + [HIDDEN] * LAYERS + [1]
    weights = []
    for layer, (fan_in, out) in enumerate(zip(widths, widths[1:])):
        bound = 1 / fan_in if layer == 0 else np.sqrt(6 / fan_in) / W0
        weights.append((random.uniform(-bound, bound, (out, fan_in)).astype(np.float32),
                        random.uniform(-1, 1, out).astype(np.float32) / np.float32(np.sqrt(fan_in))))
    axis = np.linspace(-1, 1, SIDE, dtype=np.float32)
    coordinates = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    return weights, coordinates, random.random((BATCH, SIDE * SIDE, 1), np.float32)


# -- PyTorch ----------------------------------------------------------------------------------------


def torch_step(kind):
    import torch
    torch.set_num_threads(1)
    weights, coordinates, images = problem()
    flat = [torch.tensor(value, requires_grad=True) for layer in weights for value in layer]
    points, images = torch.tensor(coordinates), torch.tensor(images)
    optimizer = torch.optim.Adam(flat, lr=RATE)

    def layers():
        return list(zip(flat[0::2], flat[1::2]))

    def total(reconstruction):
        return (reconstruction - images).square().sum()

    def eager_loss():
        grid = points.expand(BATCH, -1, -1)

        def decode(z):
            x = torch.cat((grid, z.unsqueeze(1).expand(-1, points.shape[0], -1)), -1)
            for weight, bias in layers()[:-1]:
                x = torch.sin(W0 * torch.nn.functional.linear(x, weight, bias))
            return torch.nn.functional.linear(x, *layers()[-1])

        origin = torch.zeros(BATCH, LATENT, requires_grad=True)
        gradient, = torch.autograd.grad(total(decode(origin)), origin, create_graph=True)
        return total(decode(-STEP_SIZE * gradient)) / BATCH

    def closed_loss(parameters, points, images):
        pairs = list(zip(parameters[0::2], parameters[1::2]))
        first, last = pairs[0], pairs[-1]
        of_points = points @ first[0][:, :2].T + first[1]
        x, slopes = of_points, []
        for index, (weight, bias) in enumerate(pairs[:-1]):
            x = W0 * (x if index == 0 else torch.nn.functional.linear(x, weight, bias))
            slopes.append(W0 * torch.cos(x))
            x = torch.sin(x)
        at_origin = torch.nn.functional.linear(x, *last)  # [N, 1]
        back = last[0] * slopes[-1]  # d F / d activation, one channel: [N, h]
        for (weight, _), slope in zip(reversed(pairs[1:-1]), reversed(slopes[:-1])):
            back = (back @ weight) * slope
        jacobian = back @ first[0][:, 2:]  # [N, k]
        z = -2 * STEP_SIZE * (at_origin[:, 0] - images[:, :, 0]) @ jacobian
        x = torch.sin(W0 * (of_points + (z @ first[0][:, 2:].T).unsqueeze(1)))
        for weight, bias in pairs[1:-1]:
            x = torch.sin(W0 * torch.nn.functional.linear(x, weight, bias))
        return (torch.nn.functional.linear(x, *last) - images).square().sum() / BATCH

    compiled = torch.compile(closed_loss, dynamic=False) if kind == "compiled" else None

    def step():
        optimizer.zero_grad()
        loss = compiled(flat, points, images) if compiled else eager_loss()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


# -- JAX --------------------------------------------------------------------------------------------


def jax_step(kind):
    import jax
    import jax.numpy as jnp
    weights, coordinates, images = problem()
    parameters = [(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in weights]
    points, images = jnp.asarray(coordinates), jnp.asarray(images)

    def decode(parameters, x):
        for weight, bias in parameters[:-1]:
            x = jnp.sin(W0 * (x @ weight.T + bias))
        return x @ parameters[-1][0].T + parameters[-1][1]

    def decode_latents(parameters, z):
        """[..., k] to [..., N, 1]; the first layer in two parts, so that the points are multiplied once."""
        weight, bias = parameters[0]
        x = jnp.sin(W0 * ((points @ weight[:, :2].T + bias) + (z @ weight[:, 2:].T)[..., None, :]))
        for weight, bias in parameters[1:-1]:
            x = jnp.sin(W0 * (x @ weight.T + bias))
        return x @ parameters[-1][0].T + parameters[-1][1]

    def plain(parameters):
        grid = jnp.broadcast_to(points, (BATCH, *points.shape))

        def total(z):
            spread = jnp.broadcast_to(z[:, None], (BATCH, points.shape[0], LATENT))
            return jnp.square(decode(parameters, jnp.concatenate((grid, spread), -1)) - images).sum()

        z = -STEP_SIZE * jax.grad(total)(jnp.zeros((BATCH, LATENT)))
        return total(z) / BATCH

    def per_image(parameters):
        def one(image):
            def error(z):
                spread = jnp.broadcast_to(z, (points.shape[0], LATENT))
                return jnp.square(decode(parameters, jnp.concatenate((points, spread), -1)) - image).sum()

            return error(-STEP_SIZE * jax.grad(error)(jnp.zeros(LATENT)))

        return jax.vmap(one)(images).sum() / BATCH

    def shared(parameters):
        """Loss and gradients: the origin once, the images one by one with a gradient of their own."""
        def origin(parameters):
            """F(0) [N] and dF/dz at 0 [N, k], as in closed_loss."""
            first, last = parameters[0], parameters[-1]
            x, slopes = points @ first[0][:, :2].T + first[1], []
            for index, (weight, bias) in enumerate(parameters[:-1]):
                x = W0 * (x if index == 0 else x @ weight.T + bias)
                slopes.append(W0 * jnp.cos(x))
                x = jnp.sin(x)
            back = last[0] * slopes[-1]
            for (weight, _), slope in zip(reversed(parameters[1:-1]), reversed(slopes[:-1])):
                back = (back @ weight) * slope
            return (x @ last[0].T + last[1])[:, 0], back @ first[0][:, 2:]

        def latents(value, jacobian):
            return -2 * STEP_SIZE * (value - images[:, :, 0]) @ jacobian

        (value, jacobian), to_parameters = jax.vjp(origin, parameters)
        z, to_origin = jax.vjp(latents, value, jacobian)
        error = jax.value_and_grad(
            lambda parameters, z, image: jnp.square(decode_latents(parameters, z) - image).sum() / BATCH,
            argnums=(0, 1))

        def add(sums, image):
            loss, (of_parameters, of_z) = error(parameters, *image)
            return (sums[0] + loss, jax.tree.map(jnp.add, sums[1], of_parameters)), of_z

        zero = (jnp.float32(0), jax.tree.map(jnp.zeros_like, parameters))
        (loss, gradient), of_latents = jax.lax.scan(add, zero, (z, images))
        through_origin, = to_parameters(to_origin(of_latents))
        return loss, jax.tree.map(jnp.add, gradient, through_origin)

    gradients = {"plain": jax.value_and_grad(plain), "vmap": jax.value_and_grad(per_image),
                 "shared": shared}[kind]

    def train(state):
        parameters, first, second, count = state
        loss, gradient = gradients(parameters)
        count = count + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
        parameters = jax.tree.map(
            lambda p, m, v: p - RATE * (m / (1 - 0.9 ** count)) /
            (jnp.sqrt(v / (1 - 0.999 ** count)) + 1e-8), parameters, first, second)
        return (parameters, first, second, count), loss

    train = jax.jit(train, donate_argnums=0)
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = [(parameters, zeros, jax.tree.map(jnp.zeros_like, parameters), jnp.float32(0))]

    def step():
        state[0], loss = train(state[0])
        return float(jax.block_until_ready(loss))

    return step


PEERS = {
    "PyTorch, double backward": lambda: torch_step("eager"),
    "PyTorch, closed form compiled": lambda: torch_step("compiled"),
    "JAX jit, plain": lambda: jax_step("plain"),
    "JAX jit, vmap": lambda: jax_step("vmap"),
    "JAX jit, shared origin and scan": lambda: jax_step("shared"),
}
# XLA's vectorised element-wise kernels, without which JAX is several times slower here.
XLA = "--xla_cpu_experimental_ynn_fusion_type=eltwise,reduce --xla_cpu_prefer_vector_width=512"
# As gondola does: freed memory stays with the process.
MALLOC = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=4294967295:glibc.malloc.top_pad=268435456"


def serve(name):
    """Answers each line of stdin by the seconds and the loss of one step."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print
    step = PEERS[name]()
    for _ in sys.stdin:
        start = time.perf_counter()
        loss = step()
        print(time.perf_counter() - start, loss, file=answers, flush=True)


class Peer:
    def __init__(self, name, log, core):
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), sys.executable, "-B", __file__, "--serve", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "XLA_FLAGS": XLA,
                 "JAX_PLATFORMS": "cpu", "GLIBC_TUNABLES": MALLOC})

    def step(self):
        print(file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"step: {self.process.args[-1]} ended; its words are in the log")
        return tuple(map(float, line.split()))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def turn_of_gondola(program, core):
    """Seconds of a step, and of the double backward by libtorch that the bench compares with."""
    done = subprocess.run(
        ["taskset", "-c", str(core), program, "bench", "step", "--model.decoder", "siren",
         "--parallel.device", "cpu", "--bench.threads", "1", "--bench.repeats", "3"], check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    seconds = told["step_seconds"]["median"]
    return seconds, seconds * told["ratio_to_double_backward"]["median"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--log")
    parser.add_argument("--gondola")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--only", action="append")
    parser.add_argument("--serve")
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    names = [name for name in PEERS
             if not arguments.only or any(word in name for word in arguments.only)]
    with open(arguments.log, "a", encoding="utf-8") as log:
        peers = {name: Peer(name, log, arguments.core) for name in names}
        rounds = []
        try:
            losses = {name: peer.step()[1] for name, peer in peers.items()}  # compiles, and compares
            for name, loss in losses.items():
                if abs(loss / losses[names[0]] - 1) > 1e-4:
                    raise SystemExit(f"step: {name} has a loss of {loss}, {names[0]} of {losses[names[0]]}")
                peers[name].step()
            for _ in range(arguments.rounds):
                own, control = turn_of_gondola(arguments.gondola, arguments.core)
                rounds.append({"gondola": own, "libtorch, double backward (the bench's control)": control,
                               **{name: peer.step()[0] for name, peer in peers.items()}})
        finally:
            for peer in peers.values():
                peer.close()
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "jax")))
    print("\n| step | seconds, median | to gondola, median (range) |\n|---|---|---|")
    for name in rounds[0]:
        seconds = [each[name] for each in rounds]
        ratios = [each[name] / each["gondola"] for each in rounds]
        told = f"{statistics.median(ratios):.3g} ({min(ratios):.3g} to {max(ratios):.3g})"
        print(f"| {name} | {statistics.median(seconds):.3g} | {'' if name == 'gondola' else told} |")


if __name__ == "__main__":
    main()
