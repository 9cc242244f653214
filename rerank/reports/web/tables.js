// Tables that can be sorted, and those of rules, classes and groups of features.
"use strict";

const kindOf = (column) => [column.low && "low", column.words && "words"].filter(Boolean).join(" ") || null;

// Columns are {title, value(row), show(row), note}; a click on a head sorts by `value`. Those that
// are `low` are left out on a phone, and `words` stand at the left.
function sortable(host, columns, rows, options = {}) {
  let sorted = options.sorted ?? -1, falling = options.falling ?? true;
  const head = h("tr"), body = h("tbody");
  function draw() {
    head.replaceChildren(...columns.map((column, k) => {
      const way = falling ? "descending" : "ascending";
      const button = h("button", { type: "button", title: column.note || "sort by this column" }, column.title);
      button.addEventListener("click", () => {
        falling = sorted === k ? !falling : !column.rising;
        sorted = k;
        draw();
      });
      return h("th", { scope: "col", class: kindOf(column),
        "aria-sort": column.value ? (sorted === k ? way : "none") : null }, column.value ? button : column.title);
    }));
    const order = [...rows];
    if (sorted >= 0) {
      const value = (row) => columns[sorted].value(row);
      const known = (v) => v !== null && v !== undefined;
      order.sort((a, b) => {
        const one = value(a), two = value(b);
        if (!known(one) || !known(two)) return known(two) - known(one);
        const less = typeof one === "string" ? one.localeCompare(two) : one - two;
        return falling ? -less : less;
      });
    }
    body.replaceChildren(...order.map((row) => h("tr", { class: options.mark && options.mark(row) ? "marked" : null },
      columns.map((column) => h("td", { class: kindOf(column) }, column.show(row))))));
  }
  draw();
  host.replaceChildren(h("table", { "aria-label": options.label }, h("thead", {}, head), body));
}

// A scale for whiskers that holds zero and all intervals, save a few of very wide ones.
function shared(gains) {
  const ends = gains.filter(Boolean).flat().filter((v) => v !== null);
  const low = Math.min(0, ...ends), high = Math.max(0, ...ends);
  const pad = (high - low || 1) * 0.04;
  return [low - pad, high + pad];
}

const gained = (g) => (g ? h("span", { class: g[1] > 0 ? "better" : g[2] < 0 ? "worse" : null }, signed(g[0]), " ",
  h("span", { class: "ends" }, `(${signed(g[1])} to ${signed(g[2])})`)) : "\u2013");
const colourOf = (g) => (!g || (g[1] <= 0 && g[2] >= 0) ? "var(--grey)" : g[1] > 0 ? "var(--better)" : "var(--worse)");

// Rules by what a reader wants: those that can be used, the oracles, and folded the baselines.
function ruleTable(host, population, measure, reference, picked) {
  const shown = { main: [], oracle: [], baseline: [] };
  for (const rule of population.rules) shown[rule.kind].push(rule);
  const by = (rows) => [...rows].sort((a, b) => (b[measure].value ?? -1) - (a[measure].value ?? -1));
  // The scale is that of what can be used; an oracle's gain stands as a number.
  const range = shared([...shown.main, ...shown.baseline].map((r) => r[measure].gain).filter((g) => g && g[1] > -25));
  const columns = [
    { title: "rule", value: (r) => r.name, rising: true, show: (r) => r.name },
    { title: measure === "corpus" ? "corpus IoU" : "mean image IoU", value: (r) => r[measure].value,
      show: (r) => h("span", {}, points(r[measure].value), " ", h("small", { class: "low" },
        r[measure].interval ? `${points(r[measure].interval[1])} to ${points(r[measure].interval[2])}` : "")) },
    { title: `gain over ${reference}`, value: (r) => r[measure].gain?.[0] ?? 0, show: (r) => gained(r[measure].gain) },
    { title: "with its 95 % interval", low: true, show: (r) => (r.kind === "oracle" ? ""
      : charts.whisker(inside(r[measure].gain, range), range, colourOf(r[measure].gain))) },
    { title: "images better", value: (r) => r.better, show: (r) => String(r.better),
      note: "images whose IoU rises by more than 1 point" },
    { title: "worse", value: (r) => r.worse, show: (r) => String(r.worse),
      note: "images whose IoU falls by more than 1 point" },
  ];
  if (reference !== "MAP") {
    columns.splice(4, 0, { title: "gain over MAP", low: true, value: (r) => r[measure].map_gain?.[0] ?? 0,
      show: (r) => gained(r[measure].map_gain) });
  }
  const main = h("div"), more = h("div"), oracles = h("div");
  const mark = (rule) => rule.name === picked;
  sortable(main, columns, by(shown.main), { mark, label: "Rules that need no truth" });
  sortable(oracles, columns, by(shown.oracle), { label: "Oracles, which know the truth" });
  sortable(more, columns, by(shown.baseline), { mark, label: "Baselines and other rules" });
  host.replaceChildren(main,
    h("details", {}, h("summary", {}, `what the truth would choose (${shown.oracle.length} rows)`), oracles),
    h("details", { id: "baselines" }, h("summary", {}, `baselines and other rules (${shown.baseline.length} rows)`), more));
}

const inside = (gain, range) => gain && gain.map((v) => Math.max(range[0], Math.min(range[1], v)));

// IoU of each class before and after; returns the rows with their gains.
function classTable(host, population, reference, picked, oracle) {
  const counts = numbers.classes.map(() => 0);
  for (let i = 0; i < population.n_shown; i += 1) {
    for (const k of numbers.images[population.first + i].classes) counts[k] += 1;
  }
  const rows = numbers.classes.map((name, k) => {
    const before = reference.classes[k], after = picked.classes[k];
    const gain = before === null || after === null ? null : after - before;
    return { k, name, images: counts[k], share: population.class_shares[k], before, after, gain, best: oracle.classes[k] };
  });
  const most = Math.max(1, ...rows.map((r) => Math.abs(r.gain ?? 0)));
  const range = [-most * 1.05, most * 1.05];
  const bar = (gain) => (gain === null ? "" : charts.whisker([gain, Math.min(0, gain), Math.max(0, gain)], range,
    gain < 0 ? "var(--worse)" : "var(--better)", 130));
  sortable(host, [
    { title: "class", value: (r) => r.name, rising: true, show: (r) => h("span", {}, swatch(r.k), r.name) },
    { title: "images", low: true, value: (r) => r.images, show: (r) => h("button", { class: "plain", type: "button",
      title: "show these images", onclick: () => showImages({ class: r.k, outcome: "all" }) }, String(r.images)) },
    { title: "pixels", low: true, value: (r) => r.share, show: (r) => percent(r.share) },
    { title: reference.name, value: (r) => r.before, show: (r) => points(r.before) },
    { title: picked.name, value: (r) => r.after, show: (r) => points(r.after) },
    { title: "gain", value: (r) => r.gain, rising: true, show: (r) => h("span", { class: tone(r.gain) }, signed(r.gain)) },
    { title: "", low: true, show: (r) => bar(r.gain) },
    { title: "best proposals", value: (r) => r.best, show: (r) => points(r.best) },
    { title: "left to gain", low: true, value: (r) => (r.best === null || r.after === null ? null : r.best - r.after),
      show: (r) => (r.best === null || r.after === null ? "\u2013" : signed(r.best - r.after)) },
  ], rows, { label: "Classes" });
  return rows;
}

const swatch = (k) => h("i", { class: "swatch", style: `background:rgb(${numbers.palette[k].join(",")})` });

// What the ranker gains with each subset of its groups of columns, as differences from zero.
function ablationTable(host, rows, measure, reference) {
  const range = shared(rows.map((r) => r[measure].gain));
  const order = [...rows].sort((a, b) => (b[measure].gain?.[0] ?? 0) - (a[measure].gain?.[0] ?? 0));
  sortable(host, [
    { title: "groups of features", value: (r) => r.groups.join(" + "), rising: true, show: (r) => r.groups.join(" + ") },
    { title: "columns", low: true, value: (r) => r.n_columns, show: (r) => String(r.n_columns) },
    { title: "IoU", value: (r) => r[measure].value, show: (r) => points(r[measure].value) },
    { title: `gain over ${reference}`, value: (r) => r[measure].gain?.[0] ?? 0, show: (r) => gained(r[measure].gain) },
    { title: "from zero, with its 95 % interval", show: (r) => charts.whisker(r[measure].gain, range, colourOf(r[measure].gain)) },
  ], order, { label: "Feature ablation" });
}
