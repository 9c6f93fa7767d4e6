// What the page of a camera came with, and the few things everyone on it needs: its words, its elements, its one line
// for what was just said. Words come from the server in the reader's language; nothing here has a sentence of its own.

const SVG = "http://www.w3.org/2000/svg";

export const at = (id) => document.getElementById(id);
export const data = JSON.parse(at("camera-data").textContent);
export const LOCALE = data.locale === "zh" ? "zh-CN" : "en-GB";

const numbers = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 1 });

export const words = (key, values = {}) =>
  data.words[key].replace(/\{(\w+)\}/g, (_, name) =>
    typeof values[name] === "number" ? numbers.format(values[name]) : (values[name] ?? ""),
  );

export const say = (text) => (at("said").textContent = text);

export const button = (deed) => document.querySelector(`[data-do="${deed}"]`);

export const element = (name, properties = {}, parent = null) => {
  const node = Object.assign(document.createElement(name), properties);
  parent?.append(node);
  return node;
};

export const svgElement = (name, attributes, parent) => {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent?.append(node);
  return node;
};
