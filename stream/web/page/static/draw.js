// Creates elements from data. The content of events is set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
export const SLOTS = 300;
const HEIGHT = 72;

export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

export function put(id, text) {
  const element = document.getElementById(id);
  if (element.textContent !== text) element.textContent = text;
}

// Replacing an element would clear the selection of a user who is copying from it.
function hasSelection(element) {
  const selection = document.getSelection();
  return Boolean(selection) && !selection.isCollapsed && selection.containsNode(element, true);
}

export function fill(id, ...children) {
  const element = document.getElementById(id);
  if (!hasSelection(element)) element.replaceChildren(...children);
}

// `columns`: [heading, class]; `rows`: lists of cells, text or nodes; the first cell is the row's header.
export function table(caption, columns, rows) {
  const head = columns.map(([heading, className]) => {
    const cell = make("th", className ?? "", heading);
    cell.scope = "col";
    return cell;
  });
  const body = rows.map((cells) =>
    make("tr", "", ...cells.map((cell, at) => {
      const made = make(at ? "td" : "th", columns[at][1] ?? "", cell);
      if (!at) made.scope = "row";
      return made;
    })));
  return make(
    "table", "",
    make("caption", "", caption),
    make("thead", "", make("tr", "", ...head)),
    make("tbody", "", ...body),
  );
}

// A bar that is filled between two fractions of its width.
export function bar(to, from = 0, className = "") {
  const filled = make("span", "filled");
  filled.style.setProperty("inset-inline-start", `${100 * from}%`);
  filled.style.setProperty("inline-size", to > from ? `max(3px, ${100 * (to - from)}%)` : "0");
  const track = make("span", `bar ${className}`, filled);
  track.setAttribute("aria-hidden", "true");
  return track;
}

export const empty = (text) => make("p", "empty", text);

function path(className, d) {
  const element = document.createElementNS(SVG, "path");
  element.setAttribute("class", className);
  element.setAttribute("d", d);
  return element;
}

// The smallest round number that is at least the highest value.
export function ceiling(highest) {
  const power = 10 ** Math.floor(Math.log10(Math.max(highest, 1)));
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((limit) => limit >= highest);
}

export function line(svg, values) {
  const top = ceiling(Math.max(0, ...values));
  const points = values.map((value, at) => {
    const x = SLOTS - values.length + at + 1;
    return `${x} ${(HEIGHT - 2 - (value / top) * (HEIGHT - 6)).toFixed(2)}`;
  });
  const half = (HEIGHT - 2 - 0.5 * (HEIGHT - 6)).toFixed(2);
  const parts = [path("rule", `M0 4H${SLOTS}M0 ${half}H${SLOTS}M0 ${HEIGHT - 2}H${SLOTS}`)];
  if (points.length > 1) {
    const first = SLOTS - values.length + 1;
    parts.push(path("area", `M${first} ${HEIGHT - 2}L${points.join("L")}L${SLOTS} ${HEIGHT - 2}Z`));
    parts.push(path("stroke", `M${points.join("L")}`));
  }
  svg.replaceChildren(...parts);
  return top;
}
