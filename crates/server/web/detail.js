// One request: its times, and the place where its prompt and an earlier one part.

import { read } from "./api.js";
import { bar, element, legend } from "./element.js";
import { count, counted, milliseconds, words } from "./units.js";

/** A pane that shows one request. */
export class Detail {
  #pane;
  #opener = null;

  constructor(pane) {
    this.#pane = pane;
  }

  /** Shows a request; the focus goes to the pane, and back to `opener` when it is closed. */
  async open(id, opener) {
    this.#opener = opener;
    const title = element("h3", { tabindex: "-1" }, "Request ", element("code", {}, id));
    const close = element("button", { type: "button", class: "quiet", onclick: () => this.close() },
      "Close");
    const body = element("div", {}, element("p", { class: "muted" }, "reading…"));
    this.#pane.replaceChildren(element("div", { class: "bar" }, title, close), body);
    this.#pane.hidden = false;
    title.focus();
    try {
      const record = await read(`/v1/requests/${encodeURIComponent(id)}`);
      body.replaceChildren(...this.#draw(record));
    } catch (error) {
      body.replaceChildren(element("p", { class: "error", role: "alert" }, error.message));
    }
  }

  /** Closes the pane; whether it was open. */
  close() {
    if (this.#pane.hidden) return false;
    this.#pane.hidden = true;
    // The table may have been drawn anew since.
    const id = this.#opener?.closest("tr")?.dataset.id;
    const row = document.querySelector(`tr[data-id="${CSS.escape(id ?? "")}"] button`);
    (row ?? this.#opener)?.focus();
    return true;
  }

  #draw(record) {
    return [facts(record), ...times(record.timing), ...this.#miss(record)];
  }

  #miss({ id, cache }) {
    if (!cache) return [];
    const found = `${counted(cache.matched_tokens, "token")} in ` +
      `${counted(cache.matched_blocks, "block")} of ${cache.block_size} were cached, ` +
      `${count(cache.uncached_tokens)} were not.`;
    const parts = [element("h4", {}, "Prefix cache"), element("p", {}, found)];
    const miss = cache.miss;
    if (!miss) return parts;
    parts.push(element("p", {}, element("strong", {}, words(miss.reason)), ` at token ` +
      `${count(miss.token)}, block ${count(miss.block)}. ${miss.explanation ?? ""}`));
    const other = miss.diverged_from;
    // Where the two part may lie inside of the block that was not found.
    const here = other?.here ?? miss.here;
    const sides = [["This request", id, here], ["Nearest earlier request", other?.id, other?.there]]
      .filter(([, , place]) => place)
      .map(([name, owner, place]) => this.#side(name, owner, place, owner !== id));
    if (sides.length > 0) parts.push(element("div", { class: "sides" }, sides));
    if (other) {
      parts.push(element("p", { class: "muted" },
        `The two prompts share their first ${counted(other.shared_tokens, "token")}.`));
    }
    return parts;
  }

  /** The prompt around a token, as one of two sides. */
  #side(name, id, { token_id: token, text, before, after }, isOther) {
    const owner = isOther
      ? element("button", { type: "button", class: "link",
        onclick: () => this.open(id, this.#opener) }, id)
      : id;
    return element("figure", { class: "side-by-side" },
      element("figcaption", {}, `${name} `, element("code", {}, owner)),
      element("pre", { tabindex: "0" },
        before ?? "", element("mark", { title: `token ${token}` }, visible(text)), after ?? ""),
      element("p", { class: "muted" }, `token ${count(token)}`));
  }
}

function facts({ endpoint, state, finish_reason: reason, usage, preemptions }) {
  const rows = [
    ["Endpoint", endpoint],
    ["State", reason ? `${state} (${words(reason)})` : state],
    ["Prompt", counted(usage?.prompt_tokens, "token")],
    ["Output", counted(usage?.completion_tokens, "token")],
    ["Preemptions", count(preemptions)],
  ];
  return element("dl", { class: "facts" }, rows.map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function times(timing) {
  if (!timing) return [];
  const stages = [
    { kind: "queue", name: "queue", time: timing.queue_ms },
    { kind: "computed", name: "prefill", time: timing.prefill_ms },
    { kind: "cached", name: "decode", time: timing.decode_ms },
  ];
  const entries = stages.map(({ kind, name, time }) => (
    { kind, label: `${name} ${milliseconds(time)}` }));
  const parts = stages.map(({ time }, index) => ({ ...entries[index], size: time ?? 0 }));
  const whole = parts.reduce((sum, { size }) => sum + size, 0);
  return [
    element("h4", {}, "Time"),
    bar(parts, whole),
    legend(entries),
    element("p", { class: "muted" },
      `first token after ${milliseconds(timing.ttft_ms)} (predicted ` +
      `${milliseconds(timing.predicted_ttft_ms)}), all after ${milliseconds(timing.e2e_ms)}`),
  ];
}

/** A token with its white space to be seen. */
function visible(text) {
  return (text ?? "").replaceAll("\n", "⏎\n").replaceAll("\t", "⇥").replaceAll(" ", "␣");
}
