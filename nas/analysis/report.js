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
    if (!place.dataset.listens && data.some((trace) => trace.customdata)) {
      place.dataset.listens = "1";
      place.on("plotly_hover", (event) => show(event.points[0].customdata));
      place.on("plotly_unhover", () => show(kept));
      place.on("plotly_click", (event) => keep(event.points[0].customdata, true));
    }
  }
}

// One candidate is drawn below the plots: that under the pointer, else the one that was clicked on, else the best.
const card = document.getElementById("chosen");
const rowOf = (trial) => document.querySelector(`tr[data-trial="${Number(trial)}"]`);
let kept = document.querySelector("tr[data-trial]")?.dataset.trial;

function show(trial) {
  const row = rowOf(trial);
  if (!card || !row) return;
  const titles = [...row.closest("table").tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  const texts = [...row.cells].map((cell) => cell.textContent.trim().replace(/\s+/g, " "));
  const name = texts[titles.indexOf("baseline")];
  card.querySelector("h3").textContent = `trial ${trial}${name ? ", the baseline " + name : ""}`;
  const figures = titles.map((title, place) => [title, texts[place]])
    .filter(([title, text]) => text && !["trial", "baseline", "skips"].includes(title));
  card.querySelector(".note").textContent = figures.map(([title, text]) => `${title} ${text}`).join(" · ");
  const drawing = document.querySelector(`template[data-trial="${Number(trial)}"]`);
  const place = card.querySelector(".diagram");
  place.replaceChildren(drawing ? drawing.content.cloneNode(true) : row.querySelector(".marks").cloneNode(true));
}

function keep(trial, scroll) {
  kept = trial;
  document.querySelector("tr.chosen-row")?.classList.remove("chosen-row");
  const row = rowOf(trial);
  row?.classList.add("chosen-row");
  if (scroll && row) {
    const frame = row.closest(".scroll"); // only the table scrolls: the plot stays under the pointer
    frame.scrollTop = row.offsetTop - frame.clientHeight / 2;
  }
  show(trial);
}

for (const row of document.querySelectorAll("tr[data-trial]")) {
  row.addEventListener("click", () => keep(row.dataset.trial, false));
  row.addEventListener("keydown", (event) => { if (event.key === "Enter") keep(row.dataset.trial, false); });
}
show(kept);

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
