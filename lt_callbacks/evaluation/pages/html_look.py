"""Style and script of the report's page."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --text: #1b1e23; --quiet: #5b636e; --line: #dfe3e8; --soft: #f5f6f8; --accent: #0b5cad;
  --good: #0a5f3c; --bad: #a12a12; --paper: #ffffff;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --text: #dfe3e8; --quiet: #98a1ac; --line: #2d333a; --soft: #1c2026; --accent: #7ab7f5;
    --good: #69cf9d; --bad: #f29a83; --paper: #e9e9e6;
  }
  img { mix-blend-mode: multiply; }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 76rem;
  background: var(--page); color: var(--text); font: 0.9375rem/1.5 var(--sans);
}
h1 { margin: 0; font-size: 1.5rem; line-height: 1.25; font-weight: 650; letter-spacing: -0.01em; }
h2 {
  margin: 0 0 0.75rem; padding-top: 1.75rem; font-size: 1.125rem; line-height: 1.3; font-weight: 650;
}
h3 { margin: 0 0 0.25rem; font-size: 0.8125rem; font-weight: 600; color: var(--quiet); }
h1, h2, p, li, dd, figcaption { overflow-wrap: anywhere; }
p, ul { margin: 0 0 0.75rem; max-width: 46rem; }
ul { padding-left: 1.1rem; }
a { color: var(--accent); text-underline-offset: 0.15em; }
.summary { margin: 0.35rem 0 0; color: var(--quiet); }
.note, figcaption { color: var(--quiet); font-size: 0.8125rem; }
.note { margin: 0.4rem 0 1.25rem; max-width: 46rem; }
header { border-bottom: 1px solid var(--line); padding-bottom: 1rem; }

nav ol { list-style: none; margin: 0; padding: 0.75rem 0 0; display: flex; flex-wrap: wrap; gap: 0.15rem 1.1rem; }
nav a { color: var(--quiet); text-decoration: none; font-size: 0.8125rem; }
nav a:hover { color: var(--accent); text-decoration: underline; }

.scroll, .paper { overflow-x: auto; max-width: 100%; }
.scroll { border: 1px solid var(--line); border-radius: 4px; width: fit-content; margin-bottom: 0.5rem; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table {
  border-collapse: separate; border-spacing: 0; font-size: 0.8125rem; line-height: 1.4;
  font-variant-numeric: tabular-nums;
}
th, td { padding: 0.2rem 0.7rem; text-align: left; vertical-align: top; white-space: nowrap; }
.long { white-space: normal; overflow-wrap: anywhere; min-width: 14rem; max-width: 34rem; }
.list { max-height: 24rem; overflow-y: auto; }
thead th {
  vertical-align: bottom; font-weight: 600; color: var(--quiet); border-bottom: 1px solid var(--line);
  white-space: normal; min-width: 4.2rem; background: var(--page);
}
tbody th { font-weight: 400; }
tbody tr + tr > *, tbody + tbody > tr:first-child > * { border-top: 1px solid var(--line); }
tbody tr:not(.group):hover > * { background: var(--soft); }
th:first-child { position: sticky; left: 0; background: var(--page); z-index: 1; }
th.long:first-child { position: static; }
.list thead th { position: sticky; top: 0; z-index: 2; }
tr.group > th { background: var(--soft); font-weight: 600; position: static; }
tr.group span { position: sticky; left: 0.7rem; }
.n { text-align: right; }
.good { color: var(--good); }
.bad { color: var(--bad); }
strong { font-weight: 700; }
th button {
  all: unset; cursor: pointer; font: inherit; color: inherit; border-radius: 2px;
}
th button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
th button::after { content: "\\2195"; padding-left: 0.25em; opacity: 0.35; }
th[aria-sort=ascending] button::after { content: "\\2191"; opacity: 1; }
th[aria-sort=descending] button::after { content: "\\2193"; opacity: 1; }

figure { margin: 0.5rem 0 1.25rem; }
.paper {
  background: var(--paper); border: 1px solid var(--line); border-radius: 4px; padding: 0.5rem; width: fit-content;
}
.paper img { display: block; max-width: 100%; height: auto; }
figcaption { margin-top: 0.35rem; max-width: 46rem; }

pre {
  margin: 0 0 0.75rem; padding: 0.6rem 0.75rem; background: var(--soft); border-radius: 4px; max-height: 24rem;
  overflow: auto; font: 0.75rem/1.55 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere;
}
.facts { columns: 17rem; column-gap: 2rem; margin-bottom: 0.75rem; }
.wide { columns: auto; max-width: 46rem; }
.facts section, .facts > dl { break-inside: avoid; margin: 0 0 0.9rem; }
dl { margin: 0; font-size: 0.8125rem; font-variant-numeric: tabular-nums; }
dl div {
  display: flex; justify-content: space-between; gap: 1rem; border-top: 1px solid var(--line); padding: 0.12rem 0;
}
dt { color: var(--quiet); }
dd { margin: 0; text-align: right; min-width: 0; }

@media (min-width: 64rem) {
  body { display: grid; grid-template-columns: 11rem minmax(0, 1fr); column-gap: 2.5rem; align-items: start; }
  header { grid-column: 1 / -1; }
  nav { position: sticky; top: 1.5rem; padding-top: 1rem; }
  nav ol { flex-direction: column; gap: 0.3rem; }
}
@media (max-width: 40rem) {
  body { padding: 1rem 0.875rem 3rem; }
  th, td { padding: 0.2rem 0.5rem; }
  th:first-child:not(.long) { max-width: 8.5rem; white-space: normal; overflow-wrap: break-word; }
  tr.group > th { max-width: none; }
}
@media print {
  :root {
    color-scheme: light;
    --page: #fff; --text: #000; --quiet: #444; --line: #bbb; --soft: #f2f2f2; --paper: #fff; --accent: #000;
    --good: #0a5f3c; --bad: #a12a12;
  }
  img { mix-blend-mode: normal; }
  body { display: block; max-width: none; padding: 0; font-size: 9.5pt; }
  nav { position: static; }
  nav ol { flex-direction: row; }
  .scroll, .paper { border: 0; overflow: visible; padding: 0; width: auto; max-height: none; }
  table { font-size: 7.5pt; }
  th, td { padding: 0.15rem 0.4rem; }
  .paper img { min-width: 0 !important; }
  pre { max-height: none; }
  th:first-child, .list thead th { position: static; }
  th button::after { content: none; }
  thead { display: table-header-group; }
  h2, h3, tr.group { break-after: avoid; }
  tr, figure, .facts section { break-inside: avoid; }
}
"""

# Headings become buttons only where there is a script to answer them; rows are sorted within their group.
SCRIPT = """
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  if (![...table.tBodies].some(body => body.querySelectorAll("tr:not(.group)").length > 1)) continue;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const value = row => row.cells[column].dataset.sort ?? row.cells[column].textContent;
      for (const body of table.tBodies) {
        const rows = [...body.querySelectorAll("tr:not(.group)")];
        rows.sort((a, b) => {
          const x = value(a), y = value(b), p = Number(x || NaN), q = Number(y || NaN);
          // what is no number stands last, whichever way
          if (Number.isNaN(p) !== Number.isNaN(q)) return Number.isNaN(p) ? 1 : -1;
          return sign * (Number.isNaN(p) ? x.localeCompare(y) : p - q);
        });
        body.append(...rows);
      }
    });
  });
}
"""
