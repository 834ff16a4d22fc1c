"""What runs at several numbers of ranks come to: efficiencies, and a model of the all-reduce.

The model is that of a ring: W ranks that sum n bytes take

    t(W) = 2 (W - 1) latency + 2 (W - 1) / W * n / bandwidth.
"""

from dataclasses import dataclass
from statistics import median


@dataclass
class Measured:
    """Runs with one number of ranks, repeat by repeat, and their controls."""
    ranks: int
    batch: int
    runs: list
    controls: list

    @property
    def throughput(self):
        return median(run.images_per_second for run in self.runs)

    def phase(self, name):
        return median(run.phases[name] for run in self.runs)

    def to_control(self):
        """Throughput over the control's, repeat by repeat."""
        return [run.images_per_second / control.images_per_second
                for run, control in zip(self.runs, self.controls)]

    def efficiency(self, alone):
        """Throughput over W times one rank's, repeat by repeat."""
        return [run.images_per_second / (self.ranks * one.images_per_second)
                for run, one in zip(self.runs, alone.runs)]


@dataclass
class Ring:
    latency: float    # seconds
    bandwidth: float  # bytes a second
    bytes: int

    def seconds(self, ranks):
        return 2 * (ranks - 1) * self.latency + 2 * (ranks - 1) / ranks * self.bytes / self.bandwidth


def ring_of(measured):
    """The ring that fits the measured all-reduces best, with no term below zero; None where fewer
    than two numbers of ranks had one."""
    points = [(point.ranks, point.phase("all_reduce")) for point in measured if point.ranks > 1]
    count = 4 * measured[0].runs[0].parameters
    if measured[0].runs[0].precision == "float64":
        count *= 2
    if len(points) < 2 or count == 0:
        return None
    # t = a x + b y, x = 2 (W - 1), y = 2 (W - 1) / W: least squares in two unknowns.
    rows = [(2 * (ranks - 1), 2 * (ranks - 1) / ranks, seconds) for ranks, seconds in points]
    xx = sum(x * x for x, _, _ in rows)
    xy = sum(x * y for x, y, _ in rows)
    yy = sum(y * y for _, y, _ in rows)
    xt = sum(x * t for x, _, t in rows)
    yt = sum(y * t for _, y, t in rows)
    determinant = xx * yy - xy * xy
    latency = (xt * yy - yt * xy) / determinant
    transfer = (yt * xx - xt * xy) / determinant
    if latency < 0:
        latency, transfer = 0.0, yt / yy
    elif transfer <= 0:
        latency, transfer = xt / xx, 0.0
    return Ring(latency=latency, bandwidth=count / transfer if transfer > 0 else float("inf"),
                bytes=count)


def predictions(mode, measured, ring, ranks):
    """[(W, step seconds, efficiency)]: one rank's step, for strong scaling cut into W parts, and the
    ring's all-reduce.  Waiting for slower ranks is not in it."""
    if ring is None:
        return []
    alone = next(point for point in measured if point.ranks == 1)
    work = median(run.step_seconds for run in alone.runs)
    predicted = []
    for count in ranks:
        own = work if mode == "weak" else work / count
        step = own + ring.seconds(count)
        predicted.append((count, step, own / step))
    return predicted
