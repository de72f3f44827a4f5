// One route and method: what it takes, what it answers, and how it is asked with curl.

import { element } from "./element.js";
import { Schemas, withCode } from "./schema.js";

/** An operation of the document; `node` is the whole, `entry` its place in the contents. */
export class Operation {
  #spec;
  #path;
  #method;
  #said;
  #schemas;
  #words;

  constructor(spec, path, method, said) {
    this.#spec = spec;
    this.#path = path;
    this.#method = method;
    this.#said = said;
    this.#schemas = new Schemas(spec);
    this.id = said.operationId;
    this.tag = said.tags[0];
    this.#words = [method, path, said.summary, said.description ?? "", this.tag]
      .join(" ").toLowerCase();
    const name = method.toUpperCase();
    const inside = element("div", { class: "inside" });
    this.node = element("details", { class: "operation", id: this.id },
      element("summary", {},
        element("h3", {}, element("span", { class: `method ${method}` }, name),
          element("code", {}, path)),
        element("span", { class: "muted" }, said.summary)),
      inside);
    // Most are never opened.
    this.node.addEventListener("toggle", () => inside.append(...this.#draw()), { once: true });
    this.entry = element("li", {}, element("a", { href: `#${this.id}` }, `${name} ${path}`));
  }

  /** Shows it if it has all words; whether it has. */
  show(words) {
    const has = words.every((word) => this.#words.includes(word));
    this.node.hidden = !has;
    this.entry.hidden = !has;
    return has;
  }

  /** Opens it and brings it into sight. */
  open() {
    this.node.open = true;
    this.node.scrollIntoView();
    this.node.querySelector("summary").focus({ preventScroll: true });
  }

  #draw() {
    const { description, requestBody: body } = this.#said;
    const json = body?.content["application/json"];
    return [
      description ? element("p", {}, withCode(description)) : null,
      ...this.#parameters(),
      ...(json ? [element("h4", {}, "Body"), this.#schemas.draw(json.schema)] : []),
      element("h4", {}, json?.examples ? "Examples" : "Example"),
      ...this.#examples(json?.examples),
      element("h4", {}, "Answers"),
      ...Object.entries(this.#said.responses).map((entry) => this.#response(...entry)),
    ].filter((node) => node !== null);
  }

  #parameters() {
    const parameters = this.#said.parameters ?? [];
    if (parameters.length === 0) return [];
    const rows = parameters.map(({ name, in: place, required, description, schema }) =>
      this.#schemas.field(name, { ...schema, description: `${description} In the ${place}.` },
        required === true));
    return [element("h4", {}, "Parameters"), element("dl", { class: "fields" }, rows)];
  }

  #response(status, { description, content, headers }) {
    const kinds = Object.entries(content ?? {});
    const schemas = kinds.flatMap(([kind, media]) => {
      // Of an event of a stream its data is what matters.
      const schema = media.schema.properties?.data?.contentSchema ?? media.schema;
      return this.#schemas.hasMore(schema) ? [this.#schemas.folded(kind, schema)] : [];
    });
    const named = kinds.map(([kind]) => kind).concat(Object.keys(headers ?? {}));
    return element("div", { class: "response" },
      element("p", { class: "status" }, element("code", {}, status),
        element("span", {}, withCode(description)),
        element("span", { class: "muted" }, named.join(", "))),
      schemas);
  }

  #examples(examples) {
    const bodies = Object.values(examples ?? { none: { summary: "With curl", value: null } });
    return bodies.map(({ summary, value }) => {
      const text = this.#curl(value);
      const pre = element("pre", { tabindex: "0" }, text);
      const button = element("button", { type: "button", "aria-label": `Copy: ${summary}` }, "Copy");
      button.addEventListener("click", () => copy(pre, text, button));
      return element("div", { class: "example" },
        element("div", { class: "bar" }, element("span", {}, summary), button), pre);
    });
  }

  #curl(body) {
    const parameters = new Map((this.#said.parameters ?? []).map((it) => [it.name, it]));
    const path = this.#path.replace(/\{(\w+)\}/g, (whole, name) => {
      const { example, schema } = parameters.get(name);
      return example ?? schema.enum?.[0] ?? name.toUpperCase();
    });
    const isPlain = this.#method === (body === null ? "get" : "post");
    const flags = body?.stream ? "-sN" : "-s";
    const method = isPlain ? "" : ` -X ${this.#method.toUpperCase()}`;
    const lines = [`curl ${flags}${method} ${location.origin}${path}`];
    const ways = this.#said.security ?? this.#spec.security;
    const needsKey = ways.length > 0 && ways.every((way) => Object.keys(way).length > 0);
    if (needsKey) lines.push('-H "Authorization: Bearer $API_KEY"');
    if (body !== null) {
      lines.push("-H 'Content-Type: application/json'");
      lines.push(`-d '${JSON.stringify(body, null, 1).replaceAll("'", "'\\''")}'`);
    }
    return lines.join(" \\\n  ");
  }
}

/** Puts a text into the clipboard; where the browser does not allow that, selects it. */
async function copy(pre, text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(pre);
    button.textContent = "Selected";
  }
  setTimeout(() => {
    button.textContent = "Copy";
  }, 2000);
}
