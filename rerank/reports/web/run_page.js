// The page of a run: the answer, its charts, and the start of all parts.
"use strict";
state.defaults({ pop: numbers.populations[0].name, measure: "corpus", rule: numbers.choice, m: "", cases: "lost",
  outcome: "all", class: "", sort: "data", doubt: "0", find: "", image: "", proposal: "", paint: "labels", alpha: "70" });

const SECTIONS = [["rules", "rules"], ["proposals", "proposals"], ["worst", "worst"], ["classes", "classes"], ["confusion", "confusion"],
  ["scores", "scores"], ["gate", "gate"], ["ablation", "ablation"], ["gallery", "images"], ["about", "run"]];

function startControls() {
  const held = SECTIONS.filter(([id]) => id !== "ablation" || numbers.ablation.length);
  byId("nav").append(...held.map(([id, text]) => h("a", { href: `#${id}`, onclick: (event) => {
    event.preventDefault();
    byId(id).scrollIntoView();
  } }, text)));
  const found = byId("controls");
  if (numbers.populations.length > 1) {
    found.append(choose("pop", "images", numbers.populations.map((p) => [p.name, `${p.title} (${p.n_images})`])));
  }
  found.append(choose("measure", "measure", [["corpus", "corpus IoU"], ["image", "mean image IoU"]]));
  const rules = numbers.populations[0].rules.filter((r) => r.is_proposal).map((r) => r.name);
  found.append(choose("rule", "choice by", [numbers.choice, ...rules.filter((name) => name !== numbers.choice)]));
}

function drawAnswer() {
  const measure = state.get("measure"), other = measure === "corpus" ? "image" : "corpus";
  const rule = ruleNamed(state.get("rule"));
  byId("sentence").textContent = rule[measure].answer || `${rule.name} is what gains are counted over.`;
  const joined = [rule[other].answer];
  const gated = ruleNamed("gated choice");
  if (gated && rule.name !== gated.name && gated[measure].gain) {
    joined.push(`Behind the gate: ${interval(gated[measure].gain)}.`);
  }
  byId("second").textContent = joined.filter(Boolean).join(" ");
  drawHeadroom(measure, rule);
}

function drawHeadroom(measure, rule) {
  const before = referenceRule()[measure].value, own = rule[measure].value, best = oracleRule()[measure].value;
  const gain = own - before, ranking = Math.max(0, best - Math.max(own, before)), generation = 100 - Math.max(best, own);
  const parts = [{ name: numbers.reference, value: Math.min(before, own), colour: "var(--other)" }];
  parts.push(gain >= 0 ? { name: "gained by the choice", value: gain, colour: "var(--blue)" }
    : { name: "lost by the choice", value: -gain, colour: "var(--worse)" });
  parts.push({ name: "ranking missed", value: ranking, colour: "var(--orange)" },
    { name: "generation missed", value: generation, colour: "var(--grey)" });
  const bar = h("div"), note = {
    "ranking missed": "a better proposal was there and was not chosen",
    "generation missed": "no proposal is right there",
  };
  byId("headroom").replaceChildren(bar, h("p", { class: "legend" }, parts.map((part) => h("span", { title: note[part.name] || "",
    "data-part": part.name }, h("i", { class: "swatch", style: `background:${part.colour}` }), `${part.name} ${points(part.value)}`))));
  charts.stack(bar, parts, parts.map((part) => `${part.name} ${points(part.value)}`).join(", "));
}

function drawTables() {
  const found = population(), measure = state.get("measure");
  document.querySelector('[data-note="rules"]').textContent = found.lead;
  ruleTable(byId("rule-table"), found, measure, numbers.reference, state.get("rule"));
  const rows = classTable(byId("class-table"), found, referenceRule(), ruleNamed(state.get("rule")), ruleNamed("oracle of each image"))
    .filter((r) => r.gain !== null).sort((a, b) => a.gain - b.gain);
  const [least, most] = [rows[0], rows[rows.length - 1]];
  byId("class-sentence").textContent = !rows.length ? "" : [
    least.gain < 0 ? `${least.name} lost most: ${points(least.before)} \u2192 ${points(least.after)} (${signed(least.gain)}).` : "No class lost.",
    most.gain > 0 ? `${most.name} gained most: ${points(most.before)} \u2192 ${points(most.after)} (${signed(most.gain)}).` : "No class gained.",
  ].join(" ");
}

function drawCurve() {
  const found = population(), measure = state.get("measure"), curve = found.curve, xs = curve.n_proposals;
  const last = xs.length - 1, oracle = curve[`oracle_${measure}`], choice = curve[`choice_${measure}`];
  const level = (name, rule, colour, dash) => ({ name, colour, dash, values: xs.map(() => rule[measure].value) });
  const series = [
    { name: "oracle", colour: "var(--orange)", values: oracle },
    { name: "choice", colour: "var(--blue)", values: choice },
    level(numbers.reference, referenceRule(), "var(--grey)", "5 4"),
  ];
  if (numbers.reference !== "MAP") series.push(level("MAP", ruleNamed("MAP"), "var(--green)", "2 3"));
  const slider = h("input", { type: "range", min: xs[0], max: xs[last], value: xs[last], "aria-label": "number of proposals", id: "m-slider" });
  const host = h("div");
  byId("curve").replaceChildren(host, h("div", { class: "controls" }, h("label", {}, "M", slider)));
  const given = state.get("m") === "" ? last : charts.nearest(xs, Number(state.get("m")));
  const show = charts.lines(host, { xs, series, at: given, xTitle: "proposals of each image", yTitle: "IoU (points)",
    label: `Oracle and choice against the number of proposals, ${measure} IoU`, onPoint(k) {
      slider.value = xs[k];
      const cost = k === last ? "" : ` Against M = ${xs[last]} that is ${signed(oracle[k] - oracle[last])} for the oracle and ${signed(choice[k] - choice[last])} for the choice.`;
      byId("curve-readout").textContent = `M = ${xs[k]}: oracle ${points(oracle[k])}, choice ${points(choice[k])}, ${numbers.reference} ${points(series[2].values[k])}.${cost}`;
    } });
  slider.addEventListener("input", () => show(charts.nearest(xs, Number(slider.value))));
  slider.addEventListener("change", () => state.set({ m: slider.value }));
}

function drawScores() {
  const { scatter, reliability } = population();
  const plain = scatter.points.map(([, , x, y]) => ({ x, y }));
  charts.scatter(byId("scatter"), { label: "Score against IoU of proposals, each less the mean of its image", width: 540,
    x: charts.bounds(plain.map((p) => p.x)), y: charts.bounds(plain.map((p) => p.y)), xTitle: "score above the image's mean",
    yTitle: "IoU above the mean (points)", points: plain,
    lines: [{ colour: "var(--blue)", points: scatter.bins.map(([x, y]) => ({ x, y, title: `score ${x}: IoU ${signed(y)}` })) }] });
  byId("scatter-note").textContent = scatter.rank_correlation === null ? ""
    : `Grey: proposals. Blue: their mean. Rank correlation within an image, on average: ${scatter.rank_correlation.toFixed(2)} (1 is a perfect ranker, 0 a blind one).`;
  const line = (rows, colour, dash, name) => ({ colour, dash, points: rows.map(([x, y, share]) => ({ x, y, r: 2.5 + 7 * Math.sqrt(share),
    title: `${name}: believed ${percent(x)}, right ${percent(y)}, ${percent(share)} of the pixels` })) });
  charts.scatter(byId("reliability"), { label: "Reliability: belief against the share of pixels that are right", width: 540, diagonal: true,
    x: [0, 1], y: [0, 1], xTitle: "belief that a pixel's label is right", yTitle: "share that is right",
    lines: [line(reliability.before, "var(--grey)", "4 3", "before"), line(reliability.after, "var(--blue)", null, "after")] });
  byId("reliability-note").textContent = `Blue: beliefs in the choice, which are shown as doubt. Grey: class probabilities of stage 1. `
    + `On the diagonal they are true. Mean distance from it: ${points(reliability.error_after)} points, and ${points(reliability.error_before)} for stage 1.`;
}

// What any threshold of the gate would have done to these images.
function drawGate() {
  const gate = numbers.gate, tolerance = gate.tolerance;
  const choices = population().choices["ranking SVM"];
  const rows = cases().map((c) => {
    const chosen = choices[c.index - population().first];
    const gain = c.own === null ? 0 : (c.image.iou[chosen] - c.image.iou[c.image.reference]) / 100;
    return { sure: c.image.confidence ?? Infinity, changed: chosen !== c.image.reference, gain };
  });
  byId("gate-text").textContent = `${gate.text} Predictions ${gate.enabled ? "pass through it." : "do not pass through it in this recipe (gate.enabled)."}`;
  const order = rows.filter((r) => r.changed).sort((a, b) => b.sure - a.sure);
  // A step for each choice, or for each of two hundred parts of them.
  const n = Math.min(order.length, 200) || 1;
  const counts = Array.from({ length: n + 1 }, (_, k) => Math.round((order.length * k) / n));
  const steps = counts.map((count) => (100 * count) / Math.max(1, order.length));
  const let_ = counts.map((count) => order.slice(0, count));
  const falls = let_.map((found) => (100 * found.filter((r) => r.gain < -tolerance).length) / rows.length);
  const gains = let_.map((found) => found.reduce((sum, r) => sum + r.gain, 0) / rows.length);
  const opened = gate.opens_all ? 100 : gate.threshold === null ? 0 : (100 * order.filter((r) => r.sure > gate.threshold).length) / Math.max(1, order.length);
  charts.lines(byId("gate-plot"), { xs: steps, at: charts.nearest(steps, opened), label: "Images that fall, and the mean gain, as the gate opens",
    xTitle: "choices let through, the surest first (%)", yTitle: "% of images; points",
    series: [{ name: "images that fall", colour: "var(--orange)", values: falls }, { name: "mean image gain", colour: "var(--blue)", values: gains },
      { name: "level", colour: "var(--grey)", dash: "5 4", values: steps.map(() => gate.level) }],
    onPoint(k) {
      byId("gate-readout").textContent = `With ${steps[k].toFixed(0)} % of the choices let through, ${falls[k].toFixed(1)} % of the images fall by more than `
        + `${tolerance} ${tolerance === 1 ? "point" : "points"}, and the mean image IoU changes by ${signed(gains[k])}. The gate lets ${opened.toFixed(0)} % through.`;
    } });
}

function drawAbout() {
  byId("facts").append(...Object.entries(numbers.facts).flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]));
  byId("legend").append(...numbers.classes.map((name, k) => h("span", {}, swatch(k), name)));
  byId("recipe").textContent = numbers.recipe;
  byId("versions").textContent = Object.entries(numbers.versions).map(([name, version]) => `${name} ${version}`).join(", ");
  sortable(byId("timings"), [
    { title: "stage", value: (r) => r.stage, rising: true, show: (r) => r.stage },
    { title: "files", value: (r) => r.files, show: (r) => String(r.files) },
    { title: "seconds", value: (r) => r.seconds, show: (r) => r.seconds.toFixed(1) },
    { title: "processor seconds", value: (r) => r.cpu_seconds, show: (r) => r.cpu_seconds.toFixed(1) },
    { title: "MiB on disk", value: (r) => r.mib, show: (r) => r.mib.toFixed(1) },
    { title: "peak MiB", value: (r) => r.peak_mib, show: (r) => r.peak_mib.toFixed(0) },
  ], numbers.timings, { label: "Stages" });
}

startControls();
state.on(["pop", "measure", "rule"], drawAnswer);
state.on(["pop", "measure", "rule"], drawTables);
state.on(["pop", "measure"], drawCurve);
state.on(["pop"], () => {
  document.querySelector('[data-note="confusion"]').textContent = `Share of a class's labelled pixels that get another label: ${numbers.reference} before, `
    + "the ranking SVM's choice after. The twelve largest.";
  confusion(byId("confusion-body"), population(), numbers.reference, "ranking SVM");
});
state.on(["pop"], drawScores);
state.on(["pop"], drawGate);
state.on(["measure"], () => {
  byId("ablation").hidden = !numbers.ablation.length;
  document.querySelector('[data-note="ablation"]').textContent = `The ranking SVM on subsets of its groups of features, as in section 5 of Cogswell et al. 2014: `
    + `gains over ${numbers.reference} with intervals bootstrapped over ${numbers.populations[0].resampled} (${numbers.populations[0].title.toLowerCase()}).`;
  ablationTable(byId("ablation-table"), numbers.ablation, state.get("measure"), numbers.reference);
});
startCases();
startGallery();
drawAbout();
startImages();
let wide = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === wide) return;
  wide = window.innerWidth;
  [drawAnswer, drawCurve, drawScores, drawGate].forEach((draw) => draw());
});
document.documentElement.dataset.ready = "true";
