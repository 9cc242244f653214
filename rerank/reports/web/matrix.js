// Confusion between classes, before the choice and after it.
"use strict";

// Rows of the truth as shares; null where a class has no pixel.
function shares(cells, n) {
  const table = Array.from({ length: n }, () => new Array(n).fill(0));
  for (const [truth, prediction, pixels] of cells) table[truth][prediction] += pixels;
  return table.map((row) => {
    const total = row.reduce((a, b) => a + b, 0);
    return total ? row.map((v) => v / total) : null;
  });
}

function heat(title, table, colour) {
  const n = table.length, cell = Math.max(6, Math.min(22, 420 / n)), left = n <= 40 ? 88 : 6;
  const size = left + n * cell + 4;
  const svg = charts.el("svg", { viewBox: `0 0 ${size} ${n * cell + 4}`, width: size, height: n * cell + 4, role: "img",
    "aria-label": `${title}: rows are the true class, columns what it is labelled as` });
  table.forEach((row, i) => {
    if (left > 6) {
      svg.append(charts.el("text", { x: left - 5, y: (i + 0.75) * cell, "text-anchor": "end",
        style: `font-size:${Math.min(12, cell - 1)}px`, text: numbers.classes[i] }));
    }
    (row || []).forEach((v, j) => {
      const own = colour(v, i === j);
      const box = charts.el("rect", { x: left + j * cell, y: i * cell, width: cell - 1, height: cell - 1,
        fill: own.fill, "fill-opacity": own.opacity });
      box.append(charts.el("title", { text: `${numbers.classes[i]} labelled as ${numbers.classes[j]}: ${own.text}` }));
      svg.append(box);
    });
  });
  return h("div", {}, h("h3", {}, title), h("div", { class: "wide" }, svg));
}

function confusion(host, population, reference, picked) {
  const n = numbers.classes.length;
  const before = shares(population.confusion.before, n), after = shares(population.confusion.after, n);
  const change = before.map((row, i) => row && after[i] && row.map((v, j) => after[i][j] - v));
  const pairs = [];
  change.forEach((row, i) => (row || []).forEach((v, j) => {
    if (i !== j && (before[i][j] || after[i][j])) pairs.push({ i, j, before: before[i][j], after: after[i][j], change: v });
  }));
  pairs.sort((a, b) => Math.max(b.before, b.after) - Math.max(a.before, a.after));
  const list = h("div", { class: "wide" });
  sortable(list, [
    { title: "truth", value: (r) => numbers.classes[r.i], rising: true, show: (r) => h("span", {}, swatch(r.i), numbers.classes[r.i]) },
    { title: "labelled as", words: true, value: (r) => numbers.classes[r.j], rising: true, show: (r) => h("span", {}, swatch(r.j), numbers.classes[r.j]) },
    { title: reference, value: (r) => r.before, show: (r) => percent(r.before) },
    { title: picked, value: (r) => r.after, show: (r) => percent(r.after) },
    { title: "change", value: (r) => r.change, show: (r) => h("span", { class: tone(-100 * r.change) }, `${signed(100 * r.change)}`) },
  ], pairs.slice(0, 12), { label: "Largest confusions" });
  const plain = (v) => ({ fill: "var(--blue)", opacity: Math.sqrt(v), text: percent(v) });
  const scale = Math.max(0.02, ...pairs.map((p) => Math.abs(p.change)));
  // Right labels that grow are as good as wrong ones that shrink.
  const moved = (v, right) => ({ fill: (right ? v : -v) >= 0 ? "var(--better)" : "var(--worse)",
    opacity: Math.min(1, Math.sqrt(Math.abs(v) / scale)), text: `${signed(100 * v)} points of its pixels` });
  const maps = n <= 60 ? h("details", {}, h("summary", {}, "the whole matrices, and how they differ"), h("div", { class: "pair" },
    heat(`before: ${reference}`, before, plain), heat(`after: ${picked}`, after, plain),
    heat("change: blue is better, orange worse", change, moved))) : "";
  host.replaceChildren(list, maps);
}
