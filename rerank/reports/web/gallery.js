// The gallery of all images, and the cases where a choice was worst or best, with the reason.
"use strict";
const thumbnails = JSON.parse(byId("thumbnails").textContent);
const BATCH = 48;

const population = () => numbers.populations.find((p) => p.name === state.get("pop"));
const ruleNamed = (name) => population().rules.find((r) => r.name === name);
const referenceRule = () => ruleNamed(numbers.reference === "MAP" ? "MAP" : "network");
const oracleRule = () => ruleNamed(state.get("measure") === "corpus" ? "oracle of the corpus" : "oracle of each image");

// One image under the rule that is looked at, IoU in points.
function caseOf(index) {
  const image = numbers.images[index], found = population();
  const chosen = found.choices[state.get("rule")][index - found.first];
  const iou = (m) => (image.iou[m] === null ? null : image.iou[m] / 100);
  const [own, before, best] = [iou(chosen), iou(image.reference), iou(image.oracle)];
  return { index, image, chosen, own, before, best, gain: own === null ? 0 : own - before, missed: own === null ? 0 : best - own };
}

const cases = () => Array.from({ length: population().n_shown }, (_, i) => caseOf(population().first + i));

function picture(index) {
  const source = numbers.linked ? `${numbers.linked}/${String(index).padStart(6, "0")}.webp` : thumbnails[index];
  return h("img", { src: source, loading: "lazy", alt: `${numbers.images[index].id} under the colours of the ranking SVM's choice` });
}

const OUTCOMES = [
  ["all", "all images", () => true],
  ["gain", "gained more than 1 point", (c) => c.gain > 1],
  ["loss", "lost more than 1 point", (c) => c.gain < -1],
  ["same", "changed by less", (c) => Math.abs(c.gain) <= 1],
  ["missed", "more than 5 points below the best", (c) => c.missed > 5],
  ["kept", "kept by the gate", (c) => c.image.kept],
];
const SORTS = [
  ["data", "as in the data", null],
  ["lost", "lost most first", (c) => c.gain],
  ["gained", "gained most first", (c) => -c.gain],
  ["missed", "furthest below the best", (c) => -c.missed],
  ["unsure", "smallest margin first", (c) => (c.chosen === c.image.reference ? 1e9 : c.image.confidence ?? 1e9)],
  ["doubt", "most doubted pixels first", (c) => -c.image.doubt],
  ["low", "lowest IoU first", (c) => c.own ?? 101],
];

// The images that the filters leave, in their order.
function selected() {
  const outcome = OUTCOMES.find((row) => row[0] === state.get("outcome"))[2];
  const order = SORTS.find((row) => row[0] === state.get("sort"))[2];
  const wanted = state.get("class"), doubt = Number(state.get("doubt")) / 100, text = state.get("find").toLowerCase();
  const found = cases().filter((c) => outcome(c) && c.image.doubt >= doubt
    && (wanted === "" || c.image.classes.includes(Number(wanted)))
    && (text === "" || c.image.id.toLowerCase().includes(text)));
  if (order) found.sort((a, b) => order(a) - order(b));
  return found;
}

const mean = (values) => (values.length ? values.reduce((a, b) => a + b, 0) / values.length : null);

function card(c) {
  const iou = c.own === null ? "no label" : `${points(c.before)} \u2192 ${points(c.own)}`;
  const gain = c.own === null ? "" : h("b", { class: tone(c.gain) }, signed(c.gain));
  return h("button", { type: "button", class: "card", "data-index": c.index, onclick: () => openImage(c.index) },
    picture(c.index), h("span", {}, c.image.id), h("br"), iou, " ", gain);
}

let shownCards = BATCH;
function drawGallery(keep) {
  if (keep !== true) shownCards = BATCH;
  const found = selected();
  const known = found.filter((c) => c.own !== null);
  const name = numbers.reference;
  const { n_shown: most, n_images: all } = population();
  const some = most < all ? `${most} shown images, evenly of ${all}` : `${all} images`;
  byId("gallery-readout").textContent = `${found.length} of ${some}; mean image IoU `
    + `${points(mean(known.map((c) => c.own)))}, ${signed(mean(known.map((c) => c.gain)))} over ${name}; `
    + `best proposals ${points(mean(known.map((c) => c.best)))}`;
  byId("cards").replaceChildren(...found.slice(0, shownCards).map(card));
  byId("more").hidden = found.length <= shownCards;
  byId("more").textContent = `show ${Math.min(BATCH, found.length - shownCards)} more of ${found.length - shownCards}`;
}

function showImages(changes) {
  state.set({ outcome: null, class: null, sort: null, doubt: null, find: null, ...changes });
  byId("gallery").scrollIntoView();
}

function startGallery() {
  const doubt = h("input", { type: "range", min: 0, max: 60, step: 1, "aria-label": "least doubt",
    oninput: () => state.set({ doubt: doubt.value }) });
  const text = h("output");
  const find = h("input", { type: "search", placeholder: "find an image", "aria-label": "find an image", size: 14,
    oninput: () => state.set({ find: find.value }) });
  state.on(["doubt"], () => { doubt.value = state.get("doubt"); text.textContent = `${state.get("doubt")} %`; });
  state.on(["find"], () => { if (find.value !== state.get("find")) find.value = state.get("find"); });
  byId("gallery-controls").append(
    choose("outcome", "show", OUTCOMES.map((row) => row.slice(0, 2))),
    choose("class", "with class", [["", "any"], ...numbers.classes.map((name, k) => [String(k), name])]),
    choose("sort", "order", SORTS.map((row) => row.slice(0, 2))),
    h("label", { title: "mean belief that a pixel's label is wrong" }, h("span", {}, "doubt from"), doubt, text), find,
    h("button", { type: "button", class: "plain", onclick: () => showImages({}) }, "clear"));
  byId("more").addEventListener("click", () => { shownCards += BATCH; drawGallery(true); });
  state.on(["pop", "rule", "outcome", "class", "sort", "doubt", "find"], drawGallery);
}

// "cow -> sheep on 23 % of the image, wrongly"
function changeText(rows) {
  return rows.map(([from, to, share, right, wrong]) => {
    const verdict = right + wrong === 0 ? "" : right >= 2 * wrong ? ", rightly" : wrong >= 2 * right ? ", wrongly"
      : `, right on ${percent(right)} and wrong on ${percent(wrong)}`;
    return `${numbers.classes[from]} \u2192 ${numbers.classes[to]} on ${percent(share)} of the image${verdict}`;
  }).join("; ");
}

const whyText = (rows) => rows.map(([family, value]) => `${family} ${value > 0 ? "+" : "\u2212"}${Math.abs(value).toPrecision(2)}`).join(", ");
const amount = (v) => (v === null ? "\u2013" : v === 0 ? "0" : `${v < 0 ? "\u2212" : "+"}${Math.abs(v).toPrecision(2)}`);

function caseItem(c, against) {
  const svm = population().choices["ranking SVM"][c.index - population().first] === c.chosen;
  const over = against === "best";
  const lines = [h("p", {}, h("b", {}, c.image.id), ": ", over ? `${points(c.own)}, the best proposal has ${points(c.best)} `
    : `${points(c.before)} \u2192 ${points(c.own)} `, h("b", { class: tone(over ? -c.missed : c.gain) }, signed(over ? -c.missed : c.gain)))];
  const changed = over ? c.image.missed : c.image.changed, why = over ? c.image.why_missed : c.image.why;
  const margin = over ? c.image.margin_oracle : c.image.margin;
  if (!svm) lines.push(h("p", { class: "soft" }, "reasons are kept for the ranking SVM's choice; open the image for this one"));
  else if (changed.length) {
    lines.push(h("p", {}, over ? "The best would change " : "It changed ", changeText(changed), "."),
      h("p", { class: "soft" }, `Score ${amount(margin)} above ${over ? "the best proposal" : numbers.reference}`,
        why.length ? `; what decided: ${whyText(why)}` : "", "."));
  }
  const shown = h("button", { type: "button", title: "all proposals of this image", onclick: () => openImage(c.index) }, picture(c.index));
  // Where the two differ: blue where the first is right, orange where the second is.
  viewOf(c.index).then((view) => {
    const canvas = h("canvas", { role: "img", "aria-label": `${c.image.id}: where they differ, blue where the choice is right, orange where it is wrong` });
    paint(canvas, view, c.chosen, "changes", 0.85, over ? c.image.oracle : c.image.reference);
    shown.append(canvas);
  }, () => {});
  return h("li", { class: "case", "data-index": c.index }, shown, h("div", {}, lines));
}

const CASES = [
  ["lost", `lost most against ${numbers.reference}`, (c) => c.gain, (c) => c.gain < 0],
  ["missed", "furthest below the best proposal", (c) => -c.missed, (c) => c.missed > 0],
  ["gained", `gained most over ${numbers.reference}`, (c) => -c.gain, (c) => c.gain > 0],
];

function startCases() {
  const buttons = CASES.map(([name, text]) => h("button", { type: "button", "data-cases": name,
    onclick: () => state.set({ cases: name }) }, text));
  byId("worst-controls").append(...buttons);
  state.on(["pop", "rule", "cases"], () => {
    const [name, , order, holds] = CASES.find((row) => row[0] === state.get("cases"));
    buttons.forEach((b) => b.setAttribute("aria-pressed", b.dataset.cases === name));
    const found = cases().filter((c) => c.own !== null && holds(c)).sort((a, b) => order(a) - order(b)).slice(0, numbers.n_worst);
    byId("worst-list").replaceChildren(...found.map((c) => caseItem(c, name === "missed" ? "best" : "reference")));
    if (!found.length) byId("worst-list").append(h("li", {}, "No image."));
  });
}
