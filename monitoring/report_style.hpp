#pragma once

namespace gondola {

/// The style sheet of report.html, for light and dark screens and for print. c0, c1, ... are the
/// colours of curves and parts, chosen to be told apart by colour-blind readers too; the last part
/// of a bar ("other") is grey.
inline constexpr const char* kReportStyle = R"css(
:root { color-scheme: light dark;
  --page: #f7f7f5; --card: #ffffff; --ink: #1b1b1a; --muted: #6b6a66; --line: #e2e1dc;
  --c0: #2a78d6; --c1: #e0602b; --c2: #18a376; --c3: #e0a000; --c4: #d9609a;
  --c5: #0b7d0b; --c6: #5546b5; --c7: #d43d3d; --c8: #a5a49e; }
@media (prefers-color-scheme: dark) { :root {
  --page: #141413; --card: #1f1f1d; --ink: #f1f0ec; --muted: #a3a29b; --line: #363632;
  --c0: #4a94ea; --c1: #ee7a45; --c2: #2bb98c; --c3: #d9a520; --c4: #dd6fa6;
  --c5: #3fa53f; --c6: #9a8ff0; --c7: #ea6a6a; --c8: #75746e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 32px 24px 64px; max-width: 1120px; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 26px; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 16px; margin: 0 0 12px; }
.note, header p, figcaption, th { color: var(--muted); }
header p { margin: 4px 0 24px; }
.note { margin: 8px 0 0; font-size: 13px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 16px; }
.tiles div, section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.tiles div { padding: 12px 16px; }
.tiles b { display: block; font-size: 24px; font-weight: 600; line-height: 1.25; }
.tiles span { color: var(--muted); font-size: 13px; }
section { padding: 16px 20px 20px; margin-top: 16px; min-width: 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 0 16px; }
svg.chart { width: 100%; height: auto; display: block; }
svg.bar { width: 100%; height: 32px; display: block; border-radius: 4px; }
svg text { font-size: 12px; fill: var(--muted); font-variant-numeric: tabular-nums; }
.grid { stroke: var(--line); stroke-width: 1; }
.curve { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.dot { stroke: var(--card); stroke-width: 1; }
.part { stroke: var(--card); stroke-width: 1; }
.curve.c0 { stroke: var(--c0); } .curve.c1 { stroke: var(--c1); } .curve.c2 { stroke: var(--c2); }
.curve.c3 { stroke: var(--c3); } .curve.c4 { stroke: var(--c4); } .curve.c5 { stroke: var(--c5); }
.curve.c6 { stroke: var(--c6); } .curve.c7 { stroke: var(--c7); } .curve.c8 { stroke: var(--c8); }
.c0:not(.curve) { fill: var(--c0); background: var(--c0); }
.c1:not(.curve) { fill: var(--c1); background: var(--c1); }
.c2:not(.curve) { fill: var(--c2); background: var(--c2); }
.c3:not(.curve) { fill: var(--c3); background: var(--c3); }
.c4:not(.curve) { fill: var(--c4); background: var(--c4); }
.c5:not(.curve) { fill: var(--c5); background: var(--c5); }
.c6:not(.curve) { fill: var(--c6); background: var(--c6); }
.c7:not(.curve) { fill: var(--c7); background: var(--c7); }
.c8:not(.curve) { fill: var(--c8); background: var(--c8); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin-top: 10px; font-size: 13px; }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px;
  margin-right: 6px; vertical-align: -1px; }
.legend em { color: var(--muted); font-style: normal; }
figure { margin: 0 0 16px; }
figure img { width: 100%; display: block; border-radius: 4px; image-rendering: pixelated; }
figcaption { font-size: 13px; margin-top: 4px; }
.scroll { overflow: auto; max-height: 420px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 12px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 500; font-size: 13px; position: sticky; top: 0; background: var(--card); }
th:first-child, td:first-child { padding-left: 0; }
.word { text-align: left; }
tr.best td { font-weight: 600; }
pre { margin: 12px 0 0; font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow: auto; }
summary { cursor: pointer; font-weight: 600; }
@media (max-width: 600px) { body { padding: 16px 12px 40px; } section { padding: 12px 12px 16px; } }
@media print { body { max-width: none; background: none; } section { break-inside: avoid; } }
)css";

}  // namespace gondola
