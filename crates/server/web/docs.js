// The page of the API's document: its routes by tag, and a filter over them.

import { read } from "./api.js";
import { byId, element } from "./element.js";
import { Operation } from "./operation.js";
import { withCode } from "./schema.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

/** The operations of a document, by the name of their tag. */
function byTag(spec) {
  const tags = new Map(spec.tags.map(({ name }) => [name, []]));
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of METHODS.filter((method) => item[method])) {
      const operation = new Operation(spec, path, method, item[method]);
      tags.get(operation.tag).push(operation);
    }
  }
  return tags;
}

function draw(spec) {
  const tags = byTag(spec);
  const described = new Map(spec.tags.map(({ name, description }) => [name, description]));
  const sections = [...tags].map(([name, operations]) => ({
    operations,
    node: element("section", { class: "panel tag", "aria-label": name },
      element("h2", {}, name), element("p", { class: "muted" }, described.get(name)),
      operations.map(({ node }) => node)),
    entry: element("div", {}, element("h2", {}, name),
      element("ul", {}, operations.map(({ entry }) => entry))),
  }));
  byId("version").textContent = `API, version ${spec.info.version}`;
  byId("about").replaceChildren(...withCode(spec.info.description));
  byId("operations").append(...sections.map(({ node }) => node));
  byId("contents").append(...sections.map(({ entry }) => entry));
  return sections;
}

/** Shows the operations that have all words of the text. */
function filter(sections, text) {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
  let found = 0;
  for (const { operations, node, entry } of sections) {
    const shown = operations.filter((operation) => operation.show(words)).length;
    node.hidden = shown === 0;
    entry.hidden = shown === 0;
    found += shown;
  }
  byId("found").textContent = words.length === 0 ? "" : `${found} found`;
}

/** Opens the operation that the address names. */
function follow(sections) {
  const id = location.hash.slice(1);
  const all = sections.flatMap(({ operations }) => operations);
  all.find((operation) => operation.id === id)?.open();
}

try {
  const sections = draw(await read("/openapi.json"));
  const field = byId("filter");
  field.addEventListener("input", () => filter(sections, field.value));
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    field.value = "";
    filter(sections, "");
  });
  window.addEventListener("hashchange", () => follow(sections));
  follow(sections);
} catch (error) {
  byId("about").replaceChildren(element("span", { class: "error", role: "alert" }, error.message));
}
