// What the reader chose, kept in the address, so that a link shows what its sender saw.
"use strict";
const numbers = JSON.parse(document.getElementById("numbers").textContent);

// An element: h("p", {class: "soft"}, "text", child). `on...` are listeners.
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const byId = (id) => document.getElementById(id);
const points = (v) => (v === null || v === undefined ? "\u2013" : v.toFixed(1));
const signed = (v) => (v === null || v === undefined ? "\u2013" : `${v < 0 ? "\u2212" : "+"}${Math.abs(v).toFixed(1)}`);
const percent = (v) => `${(100 * v).toFixed(v < 0.0995 ? 1 : 0)} %`;
const tone = (v) => (v > 0.05 ? "better" : v < -0.05 ? "worse" : "");
// "+1.6 (-0.4 to +3.5)"
const interval = (g) => (g ? `${signed(g[0])} (${signed(g[1])} to ${signed(g[2])})` : "\u2013");

const state = (() => {
  const defaults = {}, listeners = [];
  let values = {};

  function read() {
    const found = new URLSearchParams(location.hash.slice(1));
    values = { ...defaults };
    for (const name of Object.keys(defaults)) if (found.has(name)) values[name] = found.get(name);
  }

  function write(push) {
    const kept = Object.entries(values).filter(([name, value]) => value !== defaults[name]);
    const hash = `#${new URLSearchParams(kept)}`;
    if ((location.hash || "#") === hash) return;
    history[push ? "pushState" : "replaceState"](null, "", hash);
  }

  function call(before) {
    for (const [names, draw] of listeners) {
      if (!before || names.some((name) => before[name] !== values[name])) draw();
    }
  }

  window.addEventListener("popstate", () => {
    const before = values;
    read();
    call(before);
  });

  return {
    get: (name) => values[name],
    defaults: (found) => { Object.assign(defaults, found); read(); },
    // Draw now, and again whenever one of the names changes.
    on: (names, draw) => { listeners.push([names, draw]); draw(); },
    set(found, push = false) {
      const before = values;
      values = { ...values };
      for (const [name, value] of Object.entries(found)) values[name] = value === null ? defaults[name] : String(value);
      write(push);
      call(before);
    },
  };
})();

// A select that follows a name of the state; options are [value, text] or texts.
function choose(name, label, options) {
  const rows = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  const select = h("select", { "aria-label": label, id: `choose-${name}`,
    onchange: () => state.set({ [name]: select.value }) },
  rows.map(([value, text]) => h("option", { value }, text)));
  state.on([name], () => { select.value = state.get(name); });
  return h("label", {}, h("span", {}, label), select);
}

// Dark, light, or what the system says; remembered where the browser lets a file do so.
(() => {
  const button = byId("theme"), order = ["auto", "light", "dark"];
  let theme = "auto";
  try { theme = localStorage.getItem("rerank-theme") || "auto"; } catch { /* no storage for files */ }
  function apply() {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `theme: ${theme}`;
  }
  button.addEventListener("click", () => {
    theme = order[(order.indexOf(theme) + 1) % order.length];
    try { localStorage.setItem("rerank-theme", theme); } catch { /* no storage for files */ }
    apply();
  });
  apply();
})();
