// DOM nodes. Text becomes text nodes: nothing that a model or the server says is ever read as HTML.

/**
 * A node: `element("p", { class: "muted" }, "text", child)`. `onclick` and the like listen,
 * `true` sets an attribute without a value, and `false`, `null` and `undefined` set none.
 */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      node.addEventListener(key.slice(2), value);
    } else if (value === true) {
      node.setAttribute(key, "");
    } else if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(key, value);
    }
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** The node with an id; the page's own markup has it. */
export function byId(id) {
  const node = document.getElementById(id);
  if (node === null) throw new Error(`the page has no #${id}`);
  return node;
}

/**
 * A bar of parts, each `{ kind, size, label }`; `whole` is the size of its full width. What it
 * shows stands in words beside it, so it is hidden from screen readers.
 */
export function bar(parts, whole, name = "") {
  const pieces = parts.filter((part) => part.size > 0).map((part) => {
    const piece = element("span", { class: `part ${part.kind}`, title: part.label });
    // Through the style object: the page's policy forbids style attributes.
    piece.style.width = `${(100 * part.size) / Math.max(whole, 1)}%`;
    return piece;
  });
  return element("div", { class: `stack ${name}`, "aria-hidden": "true" }, pieces);
}

/** What the colours of a bar mean: a list of `{ kind, label }`. */
export function legend(entries) {
  const items = entries.map(({ kind, label }) =>
    element("li", {}, element("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), label));
  return element("ul", { class: "legend" }, items);
}
