// Headings become buttons only where there is a script to answer them; rows are sorted within their group.
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
