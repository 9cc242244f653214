// One image: all its proposals, what they change, and why one was chosen.
"use strict";
const dialog = byId("view");
let openView = null;

const openImage = (index) => state.set({ image: numbers.images[index].id, proposal: null }, state.get("image") === "");

const MODES = [["labels", "labels"], ["errors", "errors"], ["changes", `changes from ${numbers.reference}`], ["doubt", "doubt"]];

function stepImage(step) {
  const order = selected().map((c) => c.index);
  const here = order.indexOf(openView.index);
  const next = order[(here + step + order.length) % order.length];
  if (next !== undefined) state.set({ image: numbers.images[next].id, proposal: null });
}

function stepProposal(step) {
  const order = openView.order, here = order.indexOf(Number(state.get("proposal")));
  state.set({ proposal: order[(here + step + order.length) % order.length] });
}

const KEYS = {
  ArrowLeft: () => stepImage(-1), ArrowRight: () => stepImage(1),
  ArrowUp: () => stepProposal(-1), ArrowDown: () => stepProposal(1),
  l: () => state.set({ paint: "labels" }), e: () => state.set({ paint: "errors" }),
  c: () => state.set({ paint: "changes" }), d: () => state.set({ paint: "doubt" }),
  t: () => state.set({ proposal: state.get("proposal") === "truth" ? null : "truth" }),
};

dialog.addEventListener("keydown", (event) => {
  const own = ["INPUT", "SELECT"].includes(event.target.tagName) && event.key.startsWith("Arrow");
  if (own || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key] || !openView) return;
  event.preventDefault();
  KEYS[event.key]();
});
dialog.addEventListener("close", () => { if (state.get("image") !== "") state.set({ image: null, proposal: null }, true); });

async function drawImage() {
  const id = state.get("image");
  const index = id === "" ? -1 : numbers.images.findIndex((image) => image.id === id);
  if (index < 0) {
    openView = null;
    if (dialog.open) dialog.close();
    return;
  }
  if (index < population().first) state.set({ pop: "cross_fitted" });
  if (!dialog.open) dialog.showModal();
  let view;
  try { view = await viewOf(index); } catch (error) {
    dialog.replaceChildren(h("p", {}, error.message), h("button", { type: "button", onclick: () => dialog.close() }, "close"));
    return;
  }
  if (state.get("image") !== id) return;
  openView = { index, view, order: [...view.scores.keys()].sort((a, b) => view.scores[b] - view.scores[a]) };
  layout(caseOf(index), view);
}

function layout(c, view) {
  const { image } = c, close = h("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, "close");
  // A tall image must not be higher than the window.
  const main = h("canvas", { role: "img", style: `max-width:calc(72vh * ${view.width / view.height})` });
  const readout = h("p", { class: "readout soft", id: "pixel" }, "point at a pixel to read its classes");
  const title = h("h3", { id: "shown-title" }), tiles = h("div", { class: "tiles", id: "proposal-tiles" });
  const facts = h("dl", { class: "facts", id: "proposal-facts" }), reason = h("div", { id: "reason" });
  const alpha = h("input", { type: "range", min: 0, max: 100, "aria-label": "share of the paint", id: "alpha",
    oninput: () => state.set({ alpha: alpha.value }) });
  const shortcuts = [["truth", "truth"], ["photo", "photograph"], [c.image.reference, numbers.reference === "MAP" ? "MAP" : "network"],
    [c.chosen, "choice"], [image.oracle, "best"]];
  const quick = shortcuts.map(([what, text]) => h("button", { type: "button", "data-what": what,
    onclick: () => state.set({ proposal: what }) }, text));
  const modes = MODES.map(([mode, text]) => h("button", { type: "button", "data-mode": mode,
    onclick: () => state.set({ paint: mode }) }, text));
  dialog.replaceChildren(
    h("div", { class: "head" }, h("button", { type: "button", title: "left arrow", onclick: () => stepImage(-1) }, "\u2190"),
      h("h2", {}, image.id), h("button", { type: "button", title: "right arrow", onclick: () => stepImage(1) }, "\u2192"), close),
    h("p", { id: "image-summary" }, `${numbers.reference} ${points(c.before)}, choice ${points(c.own)}, best proposal ${points(c.best)} `,
      h("b", { class: tone(c.gain) }, `(${signed(c.gain)} over ${numbers.reference})`),
      image.kept ? "; the gate would keep " + numbers.reference : ""),
    h("div", { class: "stage" },
      h("div", {}, h("div", { class: "controls" }, quick), main, h("div", { class: "controls" }, modes,
        h("label", {}, "paint", alpha)), readout),
      h("div", {}, title, facts, reason)),
    h("h3", {}, `${view.scores.length} proposals, the best scored first`),
    h("p", { class: "soft" }, "blue: the choice; dashed: the best. Keys: \u2190 \u2192 images, \u2191 \u2193 proposals, l e c d paints, t truth, Esc closes."),
    tiles, h("details", {}, h("summary", {}, "all proposals as a table"), h("div", { class: "wide", id: "proposal-table" })));
  openView.order.forEach((m) => tiles.append(tile(c, view, m)));
  proposalTable(c, view);
  main.addEventListener("pointermove", (event) => { readout.textContent = pixelText(view, main, event); });
  openView.redraw = () => {
    const given = state.get("proposal"), what = given === "" ? c.chosen : ["truth", "photo"].includes(given) ? given : Number(given);
    const mode = what === "truth" && state.get("paint") !== "labels" ? "labels" : state.get("paint");
    paint(main, view, what, mode, Number(state.get("alpha")) / 100, image.reference);
    if (openView.painted !== mode) {
      tiles.childNodes.forEach((b) => paint(b.firstChild, view, Number(b.dataset.proposal), mode, 0.75, image.reference));
      openView.painted = mode;
    }
    alpha.value = state.get("alpha");
    modes.forEach((b) => b.setAttribute("aria-pressed", b.dataset.mode === mode));
    quick.forEach((b) => b.setAttribute("aria-pressed", b.dataset.what === String(what)));
    tiles.childNodes.forEach((b) => b.setAttribute("aria-pressed", b.dataset.proposal === String(what)));
    title.textContent = what === "truth" ? "the truth" : what === "photo" ? "the photograph" : nameOf(c, view, what);
    main.setAttribute("aria-label", `${image.id}: ${title.textContent}, painted by ${mode}`);
    facts.replaceChildren(...factsOf(c, view, what));
    reason.replaceChildren(...reasonOf(c, view, what));
  };
  openView.redraw();
}

function nameOf(c, view, m) {
  const roles = [m === c.chosen && "the choice", m === c.image.reference && numbers.reference, m === c.image.oracle && "the best"].filter(Boolean);
  return `proposal ${m}${roles.length ? ` (${roles.join(", ")})` : ""}`;
}

function tile(c, view, m) {
  const canvas = h("canvas", { role: "img", "aria-label": `proposal ${m}` });
  const classes = ["tile", m === c.chosen && "chosen", m === c.image.oracle && "best"].filter(Boolean).join(" ");
  return h("button", { type: "button", class: classes, "data-proposal": m, onclick: () => state.set({ proposal: m }) }, canvas,
    `${m}: score ${view.scores[m].toPrecision(3)}`, h("br"), `IoU ${points(c.image.iou[m] === null ? null : c.image.iou[m] / 100)}`);
}

const certificate = (gap) => (gap === null ? "none: no lower bound is known" : gap <= 1e-6 ? "the lowest energy there is"
  : `at most ${gap.toPrecision(3)} above the lowest energy`);

function factsOf(c, view, m) {
  if (typeof m !== "number") return [];
  const iou = c.image.iou[m], before = c.image.iou[c.image.reference];
  const rows = [
    ["IoU", `${points(iou === null ? null : iou / 100)} (${signed(iou === null ? null : (iou - before) / 100)} over ${numbers.reference})`],
    ["wrong pixels", percent(wrongShare(view, m))],
    ["score", view.scores[m].toPrecision(4) + (m === c.chosen ? "" : `; the choice has ${amount(view.scores[c.chosen] - view.scores[m])}`)],
    ["made by", `${view.generators[m].replaceAll("_", " ")}${view.parameters[m] ? `: ${view.parameters[m]}` : ""}`],
    ["energy", `${view.energies[m]}`],
    ["certificate", certificate(view.gaps[m])],
    [`changed from ${numbers.reference}`, percent(view.changed[m])],
    ["conformal set", view.set.includes(m) ? `joins as number ${view.set.indexOf(m) + 1} of ${view.set.length}` : "not in it"],
  ];
  return rows.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]);
}

// What each family of features adds to the choice's score above another proposal's.
function reasonOf(c, view, m) {
  const other = typeof m === "number" && m !== c.chosen ? m : c.image.reference;
  const rows = Object.entries(view.families).map(([name, v]) => [name, v[c.chosen] - v[other]]).filter((row) => Math.abs(row[1]) > 1e-12);
  if (!rows.length) return [h("p", { class: "soft" }, "The choice is this proposal: nothing had to decide.")];
  rows.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  const most = Math.max(...rows.map((row) => Math.abs(row[1])));
  const head = h("h3", {}, `What decided for the choice against ${other === c.image.reference ? numbers.reference : `proposal ${other}`}`);
  const table = h("table", { "aria-label": "what each family of features adds" }, rows.map(([name, v]) => h("tr", {}, h("td", {}, name), h("td", {}, amount(v)),
    h("td", {}, charts.whisker([v, Math.min(0, v), Math.max(0, v)], [-most * 1.05, most * 1.05], v > 0 ? "var(--blue)" : "var(--orange)", 150)))));
  const total = rows.reduce((sum, row) => sum + row[1], 0);
  return [head, table, h("p", { class: "soft" }, `together ${amount(total)}`)];
}

function proposalTable(c, view) {
  sortable(byId("proposal-table") || dialog.querySelector("#proposal-table"), [
    { title: "proposal", value: (m) => m, rising: true, show: (m) => String(m) },
    { title: "made by", words: true, value: (m) => view.generators[m], rising: true, show: (m) => view.generators[m].replaceAll("_", " ") },
    { title: "score", value: (m) => view.scores[m], show: (m) => view.scores[m].toPrecision(4) },
    { title: "IoU", value: (m) => c.image.iou[m], show: (m) => points(c.image.iou[m] === null ? null : c.image.iou[m] / 100) },
    { title: "energy", value: (m) => view.energies[m], rising: true, show: (m) => String(view.energies[m]) },
    { title: "above the bound", value: (m) => view.gaps[m], rising: true, show: (m) => (view.gaps[m] === null ? "\u2013" : view.gaps[m].toPrecision(3)) },
    { title: "changed", value: (m) => view.changed[m], show: (m) => percent(view.changed[m]) },
    { title: "settings", words: true, show: (m) => view.parameters[m] },
  ], openView.order, { mark: (m) => m === c.chosen, label: "Proposals" });
}

function pixelText(view, canvas, event) {
  const box = canvas.getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) / box.width) * view.width);
  const y = Math.floor(((event.clientY - box.top) / box.height) * view.height), k = y * view.width + x;
  if (x < 0 || y < 0 || x >= view.width || y >= view.height) return "";
  const given = state.get("proposal"), what = given === "" ? caseOf(openView.index).chosen : Number(given);
  const truth = view.truth[k] === numbers.void ? "void" : numbers.classes[view.truth[k]];
  const shown = Number.isInteger(what) ? `, labelled ${numbers.classes[labelAt(view, what, k)]}` : "";
  return `truth ${truth}${shown}, doubt ${view.doubt[view.region[k]]} %`;
}

function startImages() {
  state.on(["image"], drawImage);
  state.on(["proposal", "paint", "alpha"], () => openView?.redraw?.());
  state.on(["rule"], () => { if (openView) layout(caseOf(openView.index), openView.view); });
}
