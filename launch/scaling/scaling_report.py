"""scaling.json, scaling.csv and scaling.html of a scaling experiment."""

import csv
import html
import io
import json
import math
from statistics import median

PHASES = ("data", "inner", "outer", "wait", "all_reduce", "optimizer")
COLOURS = ("#2a78d6", "#1baf7a", "#eda100", "#8a8983", "#e34948", "#4a3aa7")
STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1b; --soft: #6b6a65; --line: #d9d8d2; --ground: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececea; --soft: #a3a29c; --line: #3a3a37; --ground: #161615; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground);
       margin: 0 auto; max-width: 1080px; padding: 16px; }
h1 { font-size: 22px; } h2 { font-size: 18px; margin-top: 32px; }
p.about, figcaption, th { color: var(--soft); }
figure { margin: 0; } .charts { display: grid; gap: 16px;
       grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 12px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; white-space: nowrap; padding: 4px 10px; border-bottom: 1px solid var(--line); }
th { font-weight: 500; }
.key b { display: inline-block; font-weight: normal; } .key span { display: inline-block; width: 12px; height: 12px; margin: 0 4px 0 12px; }
"""


def spread(values):
    return {"median": median(values), "min": min(values), "max": max(values)}


def rows_of(mode, result):
    alone = next(point for point in result["measured"] if point.ranks == 1)
    rows = []
    for point in result["measured"]:
        step = median(run.step_seconds for run in point.runs)
        rows.append({"mode": mode, "ranks": point.ranks, "images_a_step": point.batch,
                     "images_per_second": spread([r.images_per_second for r in point.runs]),
                     "step_seconds": step,
                     "efficiency": spread(point.efficiency(alone)),
                     "to_control": spread(point.to_control()),
                     "all_reduce_share": point.phase("all_reduce") / sum(map(point.phase, PHASES)),
                     "phase_seconds": {phase: point.phase(phase) for phase in PHASES}})
    return rows


def write_report(folder, about, results):
    tables = {mode: rows_of(mode, result) for mode, result in results.items()}
    document = {"about": about}
    for mode, result in results.items():
        ring = result["ring"]
        document[mode] = {
            "measured": tables[mode],
            "all_reduce_model": None if ring is None else {
                "latency_seconds": ring.latency, "bandwidth_bytes_per_second": ring.bandwidth,
                "bytes": ring.bytes},
            "predicted": [{"ranks": ranks, "step_seconds": step, "efficiency": efficiency}
                          for ranks, step, efficiency in result["predicted"]]}
    write(folder / "scaling.json", json.dumps(document, indent=1) + "\n")
    write(folder / "scaling.csv", csv_of(tables))
    write(folder / "scaling.html", page(about, results, tables))


def write(path, text):
    """Whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text)
    temporary.replace(path)


def csv_of(tables):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["mode", "ranks", "images_a_step", "images_per_second", "step_seconds",
                     "efficiency", "efficiency_min", "efficiency_max", "to_control",
                     "to_control_min", "to_control_max", "all_reduce_share",
                     *[f"{phase}_seconds" for phase in PHASES]])
    for rows in tables.values():
        for row in rows:
            writer.writerow([row["mode"], row["ranks"], row["images_a_step"],
                             f"{row['images_per_second']['median']:.6g}",
                             f"{row['step_seconds']:.6g}",
                             *[f"{row[key][part]:.4f}" for key in ("efficiency", "to_control")
                               for part in ("median", "min", "max")],
                             f"{row['all_reduce_share']:.4f}",
                             *[f"{row['phase_seconds'][phase]:.6g}" for phase in PHASES]])
    return text.getvalue()


def round_step(least):
    """The smallest of 1, 2, 2.5, 3, 4, 5, 6 and 8 times a power of ten that is not below `least`."""
    if least <= 0:
        return 0.25
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 2.5, 3, 4, 5, 6, 8, 10)
                if factor * power >= least * (1 - 1e-9))


class Chart:
    """A small SVG: x positions are the numbers of ranks, evenly spaced."""

    WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 360, 240, 48, 28, 12

    def __init__(self, ranks, highest):
        self.ranks = ranks
        step = round_step(highest / 4)
        self.highest = 4 * step
        self.parts = []
        for tick in range(5):
            value = step * tick
            y = self.y(value)
            self.parts.append(f'<line x1="{self.LEFT}" x2="{self.WIDTH}" y1="{y:.1f}" y2="{y:.1f}" '
                              'stroke="var(--line)"/>'
                              f'<text x="{self.LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
                              f'{value:,.10g}</text>')
        for count in ranks:
            self.parts.append(f'<text x="{self.x(count):.1f}" y="{self.HEIGHT - 8}" '
                              f'text-anchor="middle">{count}</text>')

    def x(self, ranks):
        step = (self.WIDTH - self.LEFT) / len(self.ranks)
        return self.LEFT + step * (self.ranks.index(ranks) + 0.5)

    def y(self, value):
        height = self.HEIGHT - self.BOTTOM - self.TOP
        return self.HEIGHT - self.BOTTOM - height * min(value / self.highest, 1.05)

    def line(self, points, colour, dashes=""):
        """[(ranks, value, low, high)] with error bars."""
        path = " ".join(f"{self.x(ranks):.1f},{self.y(value):.1f}" for ranks, value, *_ in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                          f'stroke-width="2" stroke-dasharray="{dashes}"/>')
        for ranks, value, low, high in points:
            x = self.x(ranks)
            self.parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{self.y(low):.1f}" '
                              f'y2="{self.y(high):.1f}" stroke="{colour}"/>'
                              f'<circle cx="{x:.1f}" cy="{self.y(value):.1f}" r="3.5" '
                              f'fill="{colour}"><title>{ranks} ranks: {value:.4g} '
                              f'({low:.4g} to {high:.4g})</title></circle>')

    def stack(self, ranks, values):
        """[(name, value, colour)] from the bottom up."""
        x, base = self.x(ranks), 0.0
        for name, value, colour in values:
            top = self.y(base + value)
            self.parts.append(f'<rect x="{x - 18:.1f}" width="36" y="{top:.1f}" '
                              f'height="{max(0.0, self.y(base) - top):.1f}" fill="{colour}">'
                              f'<title>{html.escape(name)}: {value * 1e3:.3g} ms</title></rect>')
            base += value

    def svg(self, label):
        return (f'<svg viewBox="0 0 {self.WIDTH} {self.HEIGHT}" role="img" '
                f'aria-label="{html.escape(label)}">' + "".join(self.parts) + "</svg>")


def figure(svg, caption):
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def section(mode, result, rows):
    ranks = [row["ranks"] for row in rows]

    def points(key, scale=1.0):
        return [(row["ranks"], row[key]["median"] * scale, row[key]["min"] * scale,
                 row[key]["max"] * scale) for row in rows]

    rates = points("images_per_second")
    one = rates[0][1]
    ideal = [(count, count * one, count * one, count * one) for count in ranks]
    throughput = Chart(ranks, max(max(p[3] for p in rates), ideal[-1][1]))
    throughput.line(ideal, "var(--line)", "4 4")
    throughput.line(rates, COLOURS[0])

    efficiency = Chart(ranks, 1.2)
    efficiency.line(points("efficiency"), COLOURS[0])
    efficiency.line(points("to_control"), COLOURS[4])

    highest = max(sum(row["phase_seconds"].values()) for row in rows)
    phases = Chart(ranks, highest)
    for row in rows:
        phases.stack(row["ranks"], [(phase, row["phase_seconds"][phase], colour)
                                    for phase, colour in zip(PHASES, COLOURS)])
    kept = "images a rank" if mode == "weak" else "images of all ranks"
    parts = [f"<h2>{mode.capitalize()} scaling: {kept} kept</h2>", '<div class="charts">',
             figure(throughput.svg("images a second"),
                    "Images a second by ranks; dashed: so many times one rank's."),
             figure(efficiency.svg("efficiency"),
                    "Efficiency: of so many times one rank (blue), of the control without "
                    "communication (red). Bars: least and most of the repeats."),
             figure(phases.svg("seconds of a step by phase"),
                    "Seconds of a step by phase, on rank 0."), "</div>",
             '<p class="key">' + "".join(f'<b><span style="background:{colour}"></span>{phase}</b>'
                                         for phase, colour in zip(PHASES, COLOURS)) + "</p>",
             table(rows), model(result)]
    return "\n".join(parts)


def ranged(value):
    return f"{value['median']:.3f} ({value['min']:.3f} to {value['max']:.3f})"


def table(rows):
    head = ("ranks", "images a step", "images/s", "step, ms", "efficiency", "of the control",
            "all-reduce")
    cells = [(row["ranks"], row["images_a_step"], f"{row['images_per_second']['median']:.1f}",
              f"{row['step_seconds'] * 1e3:.1f}", ranged(row["efficiency"]),
              ranged(row["to_control"]), f"{100 * row['all_reduce_share']:.1f} %") for row in rows]
    return ('<div class="scroll"><table><tr>' + "".join(f"<th>{name}</th>" for name in head)
            + "</tr>" + "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
                                for row in cells) + "</table></div>")


def model(result):
    ring = result["ring"]
    if ring is None:
        return "<p>No model of the all-reduce: it takes two numbers of ranks beside 1.</p>"
    bandwidth = ("beyond what these bytes show" if ring.bandwidth == float("inf")
                 else f"{ring.bandwidth / 1e9:.3g} GB/s")
    lines = "".join(f"<tr><td>{ranks}</td><td>{step * 1e3:.1f}</td><td>{efficiency:.3f}</td></tr>"
                    for ranks, step, efficiency in result["predicted"])
    return (f"<p>All-reduce of {ring.bytes / 1e6:.3g} MB as a ring: latency "
            f"{ring.latency * 1e3:.3g} ms, bandwidth {bandwidth}. With it and one rank's own work, "
            "without waiting for slower ranks:</p>"
            '<div class="scroll"><table><tr><th>ranks</th><th>step, ms</th><th>efficiency</th></tr>'
            + lines + "</table></div>")


def page(about, results, tables):
    most = max(row["ranks"] for rows in tables.values() for row in rows)
    over = (f" {most} ranks on {about['cores']} cores: more ranks than cores share them, so "
            "efficiency cannot reach 1 there." if most > about["cores"] else "")
    described = html.escape(f"{about['repeats']} repeats of {about['steps']} steps, split of "
                            f"{about['split']}, {about['cores']} cores ({about['machine']}), "
                            f"options: {about['options'] or 'none'}.{over}")
    sections = "\n".join(section(mode, results[mode], tables[mode]) for mode in results)
    return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>Scaling</title><style>{STYLE}</style></head><body><h1>Scaling</h1>"
            f'<p class="about">{described}</p>\n{sections}\n</body></html>\n')
