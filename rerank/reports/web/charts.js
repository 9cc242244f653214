// Charts from plain numbers, as SVG that scales with the page. Nothing here knows a run.
"use strict";
const charts = (() => {
  const SPACE = "http://www.w3.org/2000/svg";

  // An SVG element; `attributes` may hold `text`.
  function el(tag, attributes = {}, children = []) {
    const node = document.createElementNS(SPACE, tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") node.textContent = value;
      else if (value !== null && value !== undefined) node.setAttribute(name, value);
    }
    for (const child of children) node.append(child);
    return node;
  }

  // Round steps that cover an interval, about `count` of them.
  function ticks(low, high, count = 5) {
    const rough = Math.max(high - low, 1e-9) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough * 0.999);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) {
      found.push(Number((k * step).toPrecision(12)));
    }
    return found;
  }

  function bounds(values, pad = 0.06) {
    const known = values.filter((v) => v !== null && Number.isFinite(v));
    let [low, high] = [Math.min(...known), Math.max(...known)];
    if (!known.length) [low, high] = [0, 1];
    const margin = (high - low || Math.abs(high) * 0.05 || 1) * pad;
    return [low - margin, high + margin];
  }

  // A frame with axes: returns the SVG, and functions from numbers to places.
  function frame(host, options) {
    const width = Math.max(280, Math.min(host.clientWidth || 720, options.width || 720));
    const height = options.height || Math.min(340, width * 0.62);
    const edge = { left: 46, right: options.right || 14, top: 10, bottom: 40 };
    const [x0, x1] = options.x, [y0, y1] = options.y;
    const x = (v) => edge.left + ((v - x0) / (x1 - x0)) * (width - edge.left - edge.right);
    const y = (v) => height - edge.bottom - ((v - y0) / (y1 - y0)) * (height - edge.top - edge.bottom);
    const svg = el("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
      "aria-label": options.label });
    for (const v of ticks(y0, y1)) {
      svg.append(el("line", { class: "axis", x1: edge.left, x2: width - edge.right, y1: y(v), y2: y(v) }),
        el("text", { x: edge.left - 7, y: y(v) + 4, "text-anchor": "end", text: v }));
    }
    for (const v of ticks(x0, x1, Math.max(3, width / 90))) {
      svg.append(el("text", { x: x(v), y: height - edge.bottom + 17, "text-anchor": "middle", text: v }));
    }
    svg.append(el("text", { x: (edge.left + width - edge.right) / 2, y: height - 5,
      "text-anchor": "middle", text: options.xTitle }));
    svg.append(el("text", { x: 0, y: 0, "text-anchor": "middle", text: options.yTitle,
      transform: `translate(11 ${(height - edge.bottom) / 2}) rotate(-90)` }));
    host.replaceChildren(svg);
    return { svg, x, y, width, height, edge, value: (px) =>
      x0 + ((px - edge.left) / (width - edge.left - edge.right)) * (x1 - x0) };
  }

  // Lines over whole numbers that can be read off: `onPoint(index)` is called with the place that
  // is pointed at, chosen by arrow keys, or clicked (`pinned`).
  function lines(host, options) {
    const { xs, series, at, onPoint } = options;
    const all = series.flatMap((s) => s.values);
    const plot = frame(host, { ...options, x: [xs[0], xs[xs.length - 1]], y: bounds(all), right: 118 });
    const { svg, x, y } = plot;
    const ends = [];
    for (const s of series) {
      const points = s.values.map((v, i) => (v === null ? null : `${x(xs[i])},${y(v)}`)).filter(Boolean);
      svg.append(el("polyline", { points: points.join(" "), fill: "none", stroke: s.colour,
        "stroke-width": 2.2, "stroke-dasharray": s.dash }));
      ends.push({ s, place: y(s.values[s.values.length - 1]) });
    }
    // Names at the lines' ends, moved apart where they would touch.
    ends.sort((a, b) => a.place - b.place);
    ends.forEach((end, k) => {
      if (k) end.place = Math.max(end.place, ends[k - 1].place + 15);
      svg.append(el("text", { x: plot.width - plot.edge.right + 6, y: end.place + 4, text: end.s.name,
        style: `fill:${end.s.colour}` }));
    });
    const rule = el("line", { class: "zero", y1: plot.edge.top, y2: plot.height - plot.edge.bottom });
    const dots = series.map((s) => el("circle", { r: 4.5, fill: s.colour }));
    svg.append(rule, ...dots);
    let current = at;
    function show(index) {
      current = Math.max(0, Math.min(xs.length - 1, index));
      rule.setAttribute("x1", x(xs[current]));
      rule.setAttribute("x2", x(xs[current]));
      series.forEach((s, k) => {
        dots[k].setAttribute("cx", x(xs[current]));
        dots[k].setAttribute("cy", y(s.values[current]));
      });
      onPoint(current);
    }
    point(svg, plot, (v) => show(nearest(xs, v)), () => current, show);
    show(current);
    return show;
  }

  function nearest(xs, value) {
    let best = 0;
    xs.forEach((v, i) => { if (Math.abs(v - value) < Math.abs(xs[best] - value)) best = i; });
    return best;
  }

  function point(svg, plot, onValue, current, show) {
    svg.setAttribute("tabindex", "0");
    const read = (event) => {
      const box = svg.getBoundingClientRect();
      onValue(plot.value(((event.clientX - box.left) / box.width) * plot.width));
    };
    svg.addEventListener("pointermove", read);
    svg.addEventListener("pointerdown", read);
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      show(current() + step);
    });
  }

  // A dot with its interval on a scale that all rows of a table share, with a line at zero.
  function whisker(gain, range, colour, width = 220) {
    const svg = el("svg", { viewBox: `0 0 ${width} 18`, width, height: 18, role: "img" });
    const x = (v) => 6 + ((v - range[0]) / (range[1] - range[0])) * (width - 12);
    svg.append(el("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: 18, "stroke-dasharray": "2 2" }));
    if (!gain) {
      svg.setAttribute("aria-label", "no difference to itself");
      return svg;
    }
    svg.setAttribute("aria-label", `${gain[0]} points, interval ${gain[1]} to ${gain[2]}`);
    svg.append(el("line", { x1: x(gain[1]), x2: x(gain[2]), y1: 9, y2: 9, stroke: colour, "stroke-width": 2 }),
      el("circle", { cx: x(gain[0]), cy: 9, r: 4.5, fill: colour }));
    return svg;
  }

  // One bar of parts that follow each other; parts are {name, value, colour, pattern}.
  function stack(host, parts, label) {
    const width = Math.max(280, Math.min(host.clientWidth || 720, 1100)), height = 26;
    const total = parts.reduce((sum, p) => sum + p.value, 0) || 1;
    const svg = el("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
    let start = 0;
    for (const part of parts) {
      const size = (part.value / total) * width;
      const box = el("rect", { x: start, y: 0, width: Math.max(0, size - 1), height, fill: part.colour });
      box.append(el("title", { text: `${part.name}: ${part.value.toFixed(1)} points` }));
      svg.append(box);
      start += size;
    }
    host.replaceChildren(svg);
  }

  // Points, with a line through means of bins, and perhaps the diagonal.
  function scatter(host, options) {
    const plot = frame(host, options);
    const { svg, x, y } = plot;
    if (options.diagonal) {
      svg.append(el("line", { class: "zero", "stroke-dasharray": "3 3", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }));
    }
    for (const p of options.points || []) {
      svg.append(el("circle", { cx: x(p.x), cy: y(p.y), r: 1.8, fill: "var(--grey)", opacity: 0.5 }));
    }
    for (const s of options.lines || []) {
      svg.append(el("polyline", { points: s.points.map((p) => `${x(p.x)},${y(p.y)}`).join(" "),
        fill: "none", stroke: s.colour, "stroke-width": 2.2, "stroke-dasharray": s.dash }));
      for (const p of s.points) {
        const dot = el("circle", { cx: x(p.x), cy: y(p.y), r: p.r || 3.5, fill: s.colour });
        dot.append(el("title", { text: p.title || `${p.x}, ${p.y}` }));
        svg.append(dot);
      }
    }
    return plot;
  }

  return { el, lines, whisker, stack, scatter, bounds, nearest };
})();
