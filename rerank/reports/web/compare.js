// Runs side by side: their rules, curves, classes, and the settings that differ.
"use strict";
state.defaults({ measure: "corpus", rule: "ranking SVM" });
const COLOURS = ["var(--blue)", "var(--orange)", "var(--green)", "var(--sky)", "var(--grey)"];
const { runs, differences } = numbers;
const ruleOf = (run, name) => run.rules.find((r) => r.name === name);
const common = runs[0].rules.map((r) => r.name).filter((name) => runs.every((run) => ruleOf(run, name)));

byId("controls").append(choose("measure", "measure", [["corpus", "corpus IoU"], ["image", "mean image IoU"]]),
  choose("rule", "classes by", common));

function verdict(run, k) {
  const measure = state.get("measure"), gain = differences[k].rules["ranking SVM"][measure];
  const told = gain[1] > 0 || gain[2] < 0 ? "more than chance explains" : "which cannot be told from nothing";
  return `The choice of ${run.label} is ${Math.abs(gain[0]).toFixed(1)} points ${gain[0] < 0 ? "below" : "above"} that of ${runs[0].label} `
    + `(95 % interval ${signed(gain[1])} to ${signed(gain[2])}, ${differences[k].n_images} images in both), ${told}.`;
}

state.on(["measure"], () => {
  const measure = state.get("measure");
  byId("sentence").textContent = runs.slice(1).map(verdict).join(" ");
  const rows = common.map((name) => ({ name, kind: ruleOf(runs[0], name).kind, found: runs.map((run) => ruleOf(run, name)[measure]) }));
  rows.sort((a, b) => b.found[0].value - a.found[0].value);
  const columns = [{ title: "rule", value: (r) => r.name, rising: true, show: (r) => r.name }];
  runs.forEach((run, k) => columns.push({ title: run.label, value: (r) => r.found[k].value, show: (r) => points(r.found[k].value) }));
  differences.forEach((difference, k) => columns.push({ title: `${runs[k + 1].label} less ${runs[0].label}`,
    value: (r) => difference.rules[r.name]?.[measure][0], show: (r) => gained(difference.rules[r.name]?.[measure]) }));
  runs.forEach((run, k) => columns.push({ title: `${run.label}: gain over ${run.reference}`, low: true,
    value: (r) => r.found[k].gain?.[0] ?? 0, show: (r) => gained(r.found[k].gain) }));
  const main = h("div"), more = h("div"), mark = (r) => r.name === "ranking SVM";
  sortable(main, columns, rows.filter((r) => r.kind !== "baseline"), { label: "Rules of each run", mark });
  sortable(more, columns, rows.filter((r) => r.kind === "baseline"), { label: "Baselines of each run" });
  byId("runs").replaceChildren(main, h("details", {}, h("summary", {}, "baselines and other rules"), more));

  const longest = runs.reduce((a, b) => (b.curve.n_proposals.length > a.curve.n_proposals.length ? b : a)).curve.n_proposals;
  const series = runs.flatMap((run, k) => ["oracle", "choice"].map((kind) => {
    const values = run.curve[`${kind}_${measure}`];
    return { name: `${kind} ${run.label}`.slice(0, 18), colour: COLOURS[k % COLOURS.length], dash: kind === "choice" ? "5 3" : null,
      values: longest.map((_, i) => values[Math.min(i, values.length - 1)]) };
  }));
  charts.lines(byId("curve"), { xs: longest, series, at: longest.length - 1, xTitle: "proposals of each image", yTitle: "IoU (points)",
    label: "Oracles and choices of each run", onPoint(k) {
      byId("curve-readout").textContent = `M = ${longest[k]}: ${series.map((s) => `${s.name} ${points(s.values[k])}`).join(", ")}.`;
    } });
});

state.on(["rule"], () => {
  const rows = numbers.classes.map((name, k) => ({ name, k, values: runs.map((run) => ruleOf(run, state.get("rule")).classes[k]) }));
  const change = (r, k) => (r.values[k] === null || r.values[0] === null ? null : r.values[k] - r.values[0]);
  const columns = [{ title: "class", value: (r) => r.name, rising: true, show: (r) => h("span", {}, swatch(r.k), r.name) }];
  runs.forEach((run, k) => columns.push({ title: run.label, value: (r) => r.values[k], show: (r) => points(r.values[k]) }));
  runs.slice(1).forEach((run, k) => columns.push({ title: `${run.label} less ${runs[0].label}`, value: (r) => change(r, k + 1), rising: true,
    show: (r) => h("span", { class: tone(change(r, k + 1)) }, signed(change(r, k + 1))) }));
  sortable(byId("class-table"), columns, rows, { label: "IoU of each class" });
});

sortable(byId("settings"), [{ title: "setting", value: (r) => r[0], rising: true, show: (r) => r[0] },
  ...runs.map((run, k) => ({ title: run.label, words: true, value: (r) => r[1][k], rising: true, show: (r) => r[1][k] }))], numbers.settings, { label: "Settings that differ" });
document.documentElement.dataset.ready = "true";
