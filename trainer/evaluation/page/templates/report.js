"use strict";
const root = document.documentElement;
const find = (selector, within = document) => [...within.querySelectorAll(selector)];

// A file:// page in a private window has no storage.
const stored = (action) => { try { return action(window.localStorage); } catch { return null; } };
const theme = document.getElementById("theme");
const applyTheme = () => {
  if (theme.value) root.dataset.theme = theme.value;
  else delete root.dataset.theme;
};
theme.value = stored((storage) => storage.getItem("labelstream-theme")) ?? "";
if (theme.selectedIndex < 0) theme.value = "";
theme.addEventListener("change", () => {
  applyTheme();
  stored((storage) => storage.setItem("labelstream-theme", theme.value));
});
theme.parentElement.hidden = false;
applyTheme();

const collator = new Intl.Collator(undefined, { numeric: true });
const sortKey = (row, column) => {
  const cell = row.cells[column];
  return "sort" in cell.dataset ? Number(cell.dataset.sort.replace("inf", "Infinity")) : cell.textContent;
};
const compare = (one, other) => typeof one === "number" ? (one > other) - (one < other) : collator.compare(one, other);

const sortTable = (table, column) => {
  const heading = table.tHead.rows[0].cells[column];
  const body = table.tBodies[0];
  const first = heading.classList.contains("number") ? "descending" : "ascending";
  const second = first === "ascending" ? "descending" : "ascending";
  const order = heading.getAttribute("aria-sort") === first ? second : first;
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const keyed = [...body.rows].map((row) => [sortKey(row, column), row]);
  keyed.sort((one, other) => sign * compare(one[0], other[0]));
  body.append(...keyed.map(([, row]) => row));
};

for (const table of find("table")) {
  find("th button", table).forEach((button, column) => {
    button.disabled = false;
    button.addEventListener("click", () => sortTable(table, column));
  });
}

const filterTable = (tools) => {
  const table = document.getElementById(tools.dataset.for);
  const words = tools.querySelector("input").value.toLowerCase().split(/\s+/).filter(Boolean);
  const choices = find("select", tools).filter((select) => select.value);
  let shown = 0;
  const rows = [...table.tBodies[0].rows];
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    const fits = words.every((word) => text.includes(word))
      && choices.every((select) => row.cells[Number(select.dataset.column)].textContent === select.value);
    row.hidden = !fits;
    shown += fits;
  }
  tools.querySelector("output").textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
};

for (const tools of find(".tools[data-for]")) {
  tools.hidden = false;
  tools.addEventListener("input", () => filterTable(tools));
  // A browser keeps the values of fields over a reload.
  filterTable(tools);
}

const WIDTH = 640, HEIGHT = 200, LEFT = 58, BOTTOM = 30, TOP = 12, RIGHT = 12;
const svgNode = (name, attributes, text = "") => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.textContent = text;
  return node;
};

const drawCurve = (chart, curve, chosen) => {
  const highest = Math.max(...curve.costs) || 1;
  const x = (threshold) => LEFT + threshold * (WIDTH - LEFT - RIGHT);
  const y = (cost) => HEIGHT - BOTTOM - (cost / highest) * (HEIGHT - BOTTOM - TOP);
  const upright = (threshold, style) => svgNode("line", { class: style, x1: x(threshold), x2: x(threshold), y1: TOP, y2: HEIGHT - BOTTOM });
  const points = curve.thresholds.map((threshold, at) => `${x(threshold).toFixed(1)},${y(curve.costs[at]).toFixed(1)}`);
  const nodes = [
    svgNode("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }),
    svgNode("line", { class: "axis", x1: LEFT, x2: LEFT, y1: TOP, y2: HEIGHT - BOTTOM }),
    svgNode("text", { x: LEFT - 6, y: TOP + 4, "text-anchor": "end" }, highest.toPrecision(3)),
    svgNode("text", { x: LEFT - 6, y: HEIGHT - BOTTOM, "text-anchor": "end" }, "0"),
    ...[0, 0.25, 0.5, 0.75, 1].map((at) => svgNode("text", { x: x(at), y: HEIGHT - 10, "text-anchor": "middle" }, String(at))),
    upright(curve.best, "best"),
    svgNode("polyline", { class: "line", points: points.join(" ") }),
    svgNode("circle", { class: "chosen", r: 5, cx: x(curve.thresholds[chosen]), cy: y(curve.costs[chosen]) }),
  ];
  if (curve.current !== null) nodes.push(upright(curve.current, "now"));
  chart.replaceChildren(...nodes);
};

const explorer = document.getElementById("explorer");
if (explorer) {
  const curves = JSON.parse(document.getElementById("curves").textContent);
  const select = document.getElementById("curve");
  const slider = document.getElementById("threshold");
  const nearest = (curve, threshold) => curve.thresholds.reduce(
    (best, value, at) => Math.abs(value - threshold) < Math.abs(curve.thresholds[best] - threshold) ? at : best, 0);
  const explore = () => {
    const curve = curves[Number(select.value)];
    const chosen = nearest(curve, Number(slider.value));
    const best = nearest(curve, curve.best);
    drawCurve(document.getElementById("chart"), curve, chosen);
    const now = curve.current === null ? "" : `; now ${curve.current}: ${curve.costs[nearest(curve, curve.current)].toPrecision(3)}`;
    document.getElementById("cost").textContent =
      `${curve.thresholds[chosen]}: cost ${curve.costs[chosen].toPrecision(3)} per row; best ${curve.best}: ${curve.costs[best].toPrecision(3)}${now}`;
  };
  const choose = () => {
    slider.value = curves[Number(select.value)].current ?? curves[Number(select.value)].best;
    explore();
  };
  select.addEventListener("change", choose);
  slider.addEventListener("input", explore);
  explorer.hidden = false;
  choose();
}
