"""The style sheet of a report: light and dark, on a screen and on paper."""

STYLE = """
:root { --text: #1b1b1b; --quiet: #5c5c5c; --line: #d4d4d4; --back: #ffffff; --panel: #f4f6f8; --accent: #0b4f8a; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --quiet: #a3a3a3; --line: #3d4248; --back: #16181b; --panel: #202429; --accent: #7fb8ec; }
  img { filter: invert(0.91) hue-rotate(180deg); }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; color: var(--text); background: var(--back);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 0.6rem; color: var(--accent); }
p { margin: 0.4rem 0; overflow-wrap: anywhere; }
.quiet, figcaption { color: var(--quiet); font-size: 0.875rem; }
.answer { background: var(--panel); border-left: 4px solid var(--accent); padding: 0.4rem 1.2rem 0.8rem; }
.answer { margin-top: 1.5rem; }
.answer h2 { margin-top: 0.6rem; }
.scroll { overflow-x: auto; margin: 0.6rem 0; }
table { border-collapse: collapse; font-size: 0.875rem; }
th, td { padding: 0.25rem 0.9rem 0.25rem 0; text-align: left; vertical-align: top; }
th, td { border-bottom: 1px solid var(--line); }
th { font-weight: 600; white-space: nowrap; }
td { overflow-wrap: anywhere; min-width: 2rem; max-width: 34rem; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.facts td:first-child { color: var(--quiet); white-space: nowrap; }
figure { margin: 1rem 0 1.6rem; }
img { max-width: 100%; height: auto; background: #ffffff; }
pre { background: var(--panel); padding: 0.8rem 1rem; overflow-x: auto; font: 0.85rem/1.5 ui-monospace, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; margin: 0.8rem 0; }
@media print {
  body { max-width: none; padding: 0; font-size: 11pt; color: #000; background: #fff; }
  :root { --text: #000; --quiet: #444; --line: #bbb; --back: #fff; --panel: #fff; --accent: #000; }
  img { filter: none; }
  .scroll { overflow: visible; }
  figure, tr, .answer { break-inside: avoid; }
  h2 { break-after: avoid; }
  details::details-content { content-visibility: visible; height: auto; }
}
"""
