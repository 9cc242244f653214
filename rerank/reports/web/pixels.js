// The view of an image: read once, then painted as labels, errors, changes or doubt.
"use strict";
const readViews = new Map(), waiting = new Map();

// Linked views call this when their script has run.
window.rerankView = (index, view) => waiting.get(index)?.(view);

function viewOf(index) {
  if (!readViews.has(index)) {
    readViews.set(index, (numbers.linked ? loadLinked(index) : Promise.resolve(JSON.parse(byId(`view-${index}`).textContent))).then(decode));
    // A few dozen decoded images are enough to step back and forth.
    if (readViews.size > 24) readViews.delete(readViews.keys().next().value);
  }
  return readViews.get(index);
}

function loadLinked(index) {
  return new Promise((resolve, reject) => {
    waiting.set(index, resolve);
    const script = h("script", { src: `${numbers.linked}/${String(index).padStart(6, "0")}.js`,
      onerror: () => reject(new Error(`${numbers.linked}: the folder beside this page is missing`)) });
    document.body.append(script);
  }).finally(() => waiting.delete(index));
}

// Colours of a picture, 4 bytes a pixel.
async function colours(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = h("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

async function decode(view) {
  const [photo, regions, truth, labelings] = await Promise.all(
    [view.photo, view.regions, view.truth, view.labelings].map(colours));
  const n = labelings.width, size = photo.width * photo.height;
  const region = new Uint32Array(size), true_ = new Uint8Array(size);
  for (let k = 0; k < size; k += 1) {
    region[k] = regions.data[4 * k] + 256 * regions.data[4 * k + 1] + 65536 * regions.data[4 * k + 2];
    true_[k] = truth.data[4 * k];
  }
  const proposals = view.scores.map((_, m) => Uint8Array.from({ length: n }, (__, r) => labelings.data[4 * (m * n + r)]));
  return { ...view, width: photo.width, height: photo.height, photo: photo.data, region, truth: true_, proposals };
}

// The label of each pixel: of proposal m, or of the truth for "truth".
const labelAt = (view, what, k) => (what === "truth" ? view.truth[k] : view.proposals[what][view.region[k]]);

// What a pixel is painted as: [red, green, blue, share of the paint].
const PAINTS = {
  labels(view, what, k) {
    const label = labelAt(view, what, k);
    if (label === numbers.void) return [128, 128, 128, 0.5];
    const colour = numbers.palette[label];
    return [...colour, colour[0] + colour[1] + colour[2] ? 1 : 0];
  },
  errors(view, what, k) {
    const truth = view.truth[k];
    if (truth === numbers.void) return [128, 128, 128, 0.5];
    return labelAt(view, what, k) === truth ? [0, 0, 0, 0] : [213, 94, 0, 1];
  },
  changes(view, what, k, reference) {
    const [now, before, truth] = [labelAt(view, what, k), labelAt(view, reference, k), view.truth[k]];
    if (now === before) return [0, 0, 0, 0];
    if (truth === numbers.void || (now !== truth && before !== truth)) return [150, 150, 150, 1];
    return now === truth ? [0, 114, 178, 1] : [230, 110, 0, 1];
  },
  doubt(view, what, k) {
    return [204, 90, 160, view.doubt[view.region[k]] / 100];
  },
};

function paint(canvas, view, what, mode, alpha, reference) {
  canvas.width = view.width;
  canvas.height = view.height;
  const context = canvas.getContext("2d"), found = context.createImageData(view.width, view.height);
  for (let k = 0; k < view.region.length; k += 1) {
    const colour = what === "photo" ? [0, 0, 0, 0] : PAINTS[mode](view, what, k, reference);
    const share = alpha * colour[3];
    for (let c = 0; c < 3; c += 1) found.data[4 * k + c] = view.photo[4 * k + c] * (1 - share) + colour[c] * share;
    found.data[4 * k + 3] = 255;
  }
  context.putImageData(found, 0, 0);
}

// Pixels that a proposal labels wrongly, as a share of the labelled ones, at the size shown.
function wrongShare(view, what) {
  let wrong = 0, labelled = 0;
  for (let k = 0; k < view.truth.length; k += 1) {
    if (view.truth[k] === numbers.void) continue;
    labelled += 1;
    if (labelAt(view, what, k) !== view.truth[k]) wrong += 1;
  }
  return labelled ? wrong / labelled : 0;
}
