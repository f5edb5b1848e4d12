"""The look of an HTML page, and the little script that sorts its tables."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #595959; --line: #d0d0d0; --paper: #fff;
  --zero: transparent; --zero-ink: inherit; --focus: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --soft: #b4b4b4; --line: #4a4a4a; --paper: #161616;
    --zero: #f7fbff; --zero-ink: #000; --focus: #56b4e9; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1rem 1.25rem 3rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; }
h1 small { font-size: 1rem; font-weight: 400; color: var(--soft); }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.text { font-size: 1.3rem; line-height: 2; overflow-wrap: anywhere; }
.w { padding: .12em .25em; border-radius: .2em; }
.t0 { background: var(--zero); color: var(--zero-ink); }
.t1 { background: #deebf7; color: #000; } .t2 { background: #b5d4e9; color: #000; }
.t3 { background: #7ab6d9; color: #000; } .t4 { background: #2b7bba; color: #fff; }
.t5 { background: #08418a; color: #fff; }
strong.w { text-decoration: underline; text-decoration-thickness: .12em;
  text-underline-offset: .18em; }
.unknown { font-style: italic; }
.legend, figcaption, .note { color: var(--soft); }
.note::before { content: "Note: "; font-weight: 600; }
figure { margin: 0; }
.picture { background: #fff; border: 1px solid var(--line); border-radius: .3rem; padding: .5rem;
  overflow-x: auto; }
.picture svg { display: block; max-width: 100%; min-width: 40rem; height: auto;
  margin: 0 auto; }
.scroll { overflow-x: auto; max-width: 100%; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
table { border-collapse: collapse; }
th, td { text-align: start; padding: .2rem .7rem; border-bottom: 1px solid var(--line);
  font-weight: 400; overflow-wrap: break-word; }
thead th { font-weight: 600; vertical-align: bottom; }
tbody th { min-width: 7rem; max-width: 24rem; }
.legend .w { outline: 1px solid var(--line); }
.number { text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap; }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 0;
  cursor: pointer; text-align: start; }
th button::after { content: "\\a0↕"; color: var(--soft); }
th[aria-sort=ascending] button::after { content: "\\a0↑"; }
th[aria-sort=descending] button::after { content: "\\a0↓"; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media print {
  :root { --ink: #000; --soft: #333; --line: #999; --paper: #fff; --zero: transparent;
    --zero-ink: inherit; }
  .w, .picture { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  figure, tr { break-inside: avoid; } h2 { break-after: avoid; }
  th button::after { content: ""; } .scroll, .picture { overflow: visible; }
  .picture svg { min-width: 0; }
}
"""
"""Dark pages on request of the system; pictures keep white paper."""

SCRIPT = """
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = row => {
        const cell = row.cells[column];
        return "value" in cell.dataset ? Number(cell.dataset.value || "-Infinity")
          : cell.textContent;
      };
      const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b);
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => compare(key(a), key(b)) * (down ? -1 : 1));
      table.tBodies[0].append(...rows);
    });
  });
}
"""
"""Buttons in the heads of tables that are marked ``data-sortable``; without it they are as read."""
