// JSON schemas as lists of fields; what is inside of a field opens on demand.

import { element } from "./element.js";

/** The schemas of a document. */
export class Schemas {
  #components;

  constructor(spec) {
    this.#components = spec.components.schemas;
  }

  /** A schema in words and fields. */
  draw(schema) {
    const resolved = this.#resolve(schema);
    const variants = resolved.oneOf ?? resolved.anyOf;
    if (resolved.properties === undefined && variants !== undefined) {
      const nodes = variants.map((variant) => element("div", { class: "variant" },
        element("p", {}, withCode(this.#name(variant))), this.hasMore(variant) ? this.draw(variant) : null));
      return element("div", {}, nodes);
    }
    if (resolved.type === "array") return this.draw(resolved.items);
    const required = new Set(resolved.required ?? []);
    const fields = Object.entries(resolved.properties ?? {});
    const needed = fields.filter(([name]) => required.has(name));
    const rows = needed.concat(fields.filter(([name]) => !required.has(name)))
      .map(([name, field]) => this.field(name, field, required.has(name)));
    const others = resolved.additionalProperties;
    if (typeof others === "object" && Object.keys(others).length > 0) {
      rows.push(this.field("…", others, false));
    }
    return element("dl", { class: "fields" }, rows);
  }

  /** One field: its name, type and bounds, what it means, and what is in it. */
  field(name, schema, isRequired) {
    const resolved = this.#resolve(schema);
    const description = schema.description ?? resolved.description;
    return element("div", { class: "field" },
      element("dt", {}, element("code", {}, name),
        element("span", { class: "type" }, this.#type(schema)),
        isRequired ? element("span", { class: "required" }, "required") : null),
      element("dd", {}, withCode(description ?? ""),
        this.hasMore(schema) ? this.folded("fields", schema) : null));
  }

  /** A schema that opens on demand: some are inside of themselves. */
  folded(title, schema) {
    const details = element("details", { class: "more" }, element("summary", {}, title));
    details.addEventListener("toggle", () => details.append(this.draw(schema)), { once: true });
    return details;
  }

  /** Whether there are fields in it. */
  hasMore(schema) {
    const resolved = this.#resolve(schema);
    const { properties, additionalProperties: others, items } = resolved;
    if (properties !== undefined && Object.keys(properties).length > 0) return true;
    if (items !== undefined && this.hasMore(items)) return true;
    if (typeof others === "object" && this.hasMore(others)) return true;
    return (resolved.oneOf ?? resolved.anyOf ?? []).some((variant) => this.hasMore(variant));
  }

  #resolve(schema) {
    const name = schema.$ref?.split("/").at(-1);
    return name === undefined ? schema : this.#components[name];
  }

  /** What a variant is called: its name, or what tells it from others. */
  #name(schema) {
    const name = schema.$ref?.split("/").at(-1);
    const { properties, description } = this.#resolve(schema);
    const mark = Object.entries(properties ?? {}).find(([, field]) => field.const !== undefined);
    const told = mark ? `${mark[0]}: ${JSON.stringify(mark[1].const)}` : null;
    return [name ?? (told === null ? this.#type(schema) : null), told, description]
      .filter((part) => part).join(", ");
  }

  #type(schema) {
    const resolved = this.#resolve(schema);
    const { const: only, enum: words, type, items } = resolved;
    if (only !== undefined) return JSON.stringify(only);
    if (words !== undefined) {
      return withDefault(words.map((word) => JSON.stringify(word)).join(" | "), resolved);
    }
    const variants = resolved.oneOf ?? resolved.anyOf;
    if (variants !== undefined && resolved.properties === undefined) {
      const names = new Set(variants.map((variant) => this.#type(variant)));
      return [...names].join(" or ");
    }
    if (type === "array") return `list of ${this.#type(items)}${bounds(resolved)}`;
    if (type === undefined) return "anything";
    const name = [type].flat().join(" or ");
    return withDefault(`${name}${bounds(resolved)}`, resolved);
  }
}

/** A text whose words in backticks are code. */
export function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 === 1 ? element("code", {}, part) : part));
}

function withDefault(type, schema) {
  return schema.default === undefined ? type : `${type}, default ${JSON.stringify(schema.default)}`;
}

/** What a value may be, in signs. */
function bounds(schema) {
  const signs = [
    ["minimum", "≥"], ["exclusiveMinimum", ">"], ["maximum", "≤"], ["exclusiveMaximum", "<"],
    ["minLength", "length ≥"], ["maxLength", "length ≤"], ["minItems", "items ≥"], ["maxItems", "items ≤"],
  ];
  // 64-bit bounds say nothing to people.
  const told = signs.filter(([key]) => Math.abs(schema[key] ?? Infinity) < 2 ** 53)
    .map(([key, sign]) => `${sign} ${schema[key]}`);
  return told.length > 0 ? ` ${told.join(", ")}` : "";
}
