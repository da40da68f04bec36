"use strict";

// Plots: the page's own colours stand in the figures by name, so that light and dark are one drawing.
const plots = JSON.parse(document.getElementById("plots").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");

function coloured(part) {
  const style = getComputedStyle(document.documentElement);
  if (Array.isArray(part)) return part.map(coloured);
  if (part === null || typeof part !== "object") return part;
  return Object.fromEntries(Object.entries(part).map(([key, value]) => [
    key, /color$/.test(key) && typeof value === "string" ? style.getPropertyValue("--" + value) || value : coloured(value),
  ]));
}

function draw() {
  for (const [name, figure] of Object.entries(plots)) {
    const place = document.getElementById("plot-" + name);
    if (!place) continue;
    const { data, layout } = coloured(figure);
    Plotly.react(place, data, layout, {
      responsive: true, displayModeBar: false, doubleClick: "autosize",
    });
  }
}

draw();
dark.addEventListener("change", draw);

// The leaderboard: a click on a title sorts by it, another one turns the order round; what is missing stays last.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const title = button.closest("th");
    const order = title.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of title.parentElement.children) other.removeAttribute("aria-sort");
    title.setAttribute("aria-sort", order);
    const body = title.closest("table").tBodies[0];
    const key = (row) => row.cells[title.cellIndex].dataset.sort ?? row.cells[title.cellIndex].textContent;
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const difference = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return order === "ascending" ? difference : -difference;
    });
    body.append(...rows);
  });
}
