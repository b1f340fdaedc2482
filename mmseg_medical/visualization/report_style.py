"""Style sheet of the report; follows the reader's light or dark preference."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --sheet: #f6f7f9; --ink: #1f2328; --soft: #5b6470; --line: #dfe3e8; --accent: #0b63c5;
  --mark: #eaf2fd;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --sheet: #1c2024; --ink: #e6e9ec; --soft: #9aa4af; --line: #2f353b; --accent: #6cb0ff;
    --mark: #1b2a3c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink); line-height: 1.55;
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .25rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .75rem; padding-bottom: .35rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.25rem 0 .4rem; }
p { margin: .4rem 0; }
.soft, figcaption { color: var(--soft); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .75rem; margin: 1.5rem 0; }
.card { background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; padding: .8rem 1rem; }
.card b { display: block; font-size: 1.6rem; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .85rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .4rem .55rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr.mean td { font-weight: 600; background: var(--mark); }
tr.mean td:first-child { padding-left: .5rem; }
tbody tr:hover td { background: var(--sheet); }
.swatch {
  display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .5em; vertical-align: -.05em;
  border: 1px solid var(--soft);
}
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 1rem; }
figure { margin: 0 0 1rem; }
figure img { display: block; width: 100%; border-radius: 8px; border: 1px solid var(--line); background: #fff; }
figcaption { font-size: .88rem; margin-top: .35rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(110px, max-content) 1fr; gap: .3rem 1.25rem; margin: .75rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
details { border: 1px solid var(--line); border-radius: 8px; background: var(--sheet); margin: .75rem 0; }
summary { cursor: pointer; padding: .6rem 1rem; font-weight: 600; }
details > div { padding: 0 1rem .75rem; }
pre {
  margin: 0; padding: 0 1rem 1rem; overflow: auto; max-height: 36rem; tab-size: 4;
  font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
}
@media print { details:not([open]) { display: none; } main { max-width: none; } }
"""
