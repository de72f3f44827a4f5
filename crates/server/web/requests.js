// Recent requests: what they cost, and why no more of their prompts was cached.

import { read } from "./api.js";
import { element } from "./element.js";
import { Detail } from "./detail.js";
import { count, milliseconds, percent, words } from "./units.js";

const LIMIT = 20;

/** A table of recent requests in `root`, and one of them in `pane`. */
export class RequestTable {
  #root;
  #detail;
  #isThere = true;
  #isReading = false;
  #isStale = false;

  constructor(root, pane) {
    this.#root = root;
    this.#detail = new Detail(pane);
    this.#say("No request yet.");
  }

  /** Reads the records anew. While they are being read, once more afterwards. */
  async refresh() {
    if (!this.#isThere) return;
    if (this.#isReading) {
      this.#isStale = true;
      return;
    }
    this.#isReading = true;
    try {
      this.#show((await read(`/v1/requests?limit=${LIMIT}`)).data);
    } catch (error) {
      this.#isThere = error.status !== 404;
      this.#say(this.#isThere ? error.message : "This server has no request records.");
    }
    this.#isReading = false;
    if (this.#isStale) {
      this.#isStale = false;
      this.refresh();
    }
  }

  /** Closes the detail pane; whether it was open. */
  close() {
    return this.#detail.close();
  }

  #say(text) {
    this.#root.replaceChildren(element("p", { class: "muted" }, text));
  }

  #show(records) {
    if (records.length === 0) {
      this.#say("No request yet.");
      return;
    }
    // The row that had the focus has it again: a table that is drawn anew must not lose it.
    const focused = document.activeElement?.closest?.("tr[data-id]")?.dataset.id;
    const heads = [["Time"], ["State"], ["Prompt", "number"], ["Cached", "number"],
      ["Output", "number wide"], ["TTFT", "number wide"], ["Predicted", "number wide"],
      ["Why no more was cached"]];
    const table = element("table", { class: "records" },
      element("caption", { class: "unseen" }, "Recent requests, the newest first"),
      element("thead", {}, element("tr", {},
        heads.map(([head, kind]) => element("th", { scope: "col", class: kind }, head)))),
      element("tbody", {}, records.map((record) => this.#row(record))));
    this.#root.replaceChildren(table);
    if (focused !== undefined) {
      this.#root.querySelector(`tr[data-id="${CSS.escape(focused)}"] button`)?.focus();
    }
  }

  #row(record) {
    const { id, usage, timing } = record;
    const cached = usage?.prompt_tokens_details?.cached_tokens;
    const share = usage?.prompt_tokens > 0 ? ` (${percent(cached / usage.prompt_tokens)})` : "";
    const open = (event) => {
      event.stopPropagation();
      this.#detail.open(id, event.currentTarget.closest("tr").querySelector("button"));
    };
    const time = element("button", { type: "button", class: "link", onclick: open,
      "aria-label": `Details of request ${id}` }, clock(record.created));
    return element("tr", { "data-id": id, onclick: open },
      element("td", {}, time),
      element("td", {}, element("span", { class: `state ${record.state}` }, record.state)),
      element("td", { class: "number" }, count(usage?.prompt_tokens)),
      element("td", { class: "number" }, `${count(cached)}${share}`),
      element("td", { class: "number wide" }, count(usage?.completion_tokens)),
      element("td", { class: "number wide" }, milliseconds(timing?.ttft_ms)),
      element("td", { class: "number wide" }, milliseconds(timing?.predicted_ttft_ms)),
      element("td", {}, missWords(record.cache)));
  }
}

function missWords(cache) {
  if (!cache) return "–";
  if (!cache.miss) return "all of it was";
  return `${words(cache.miss.reason)} from token ${count(cache.miss.token)}`;
}

function clock(seconds) {
  return new Date(1e3 * seconds).toLocaleTimeString("en-GB");
}
