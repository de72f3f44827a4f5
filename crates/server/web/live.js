// Live figures, from /metrics, about once a second while somebody looks.

import { ask } from "./api.js";
import { bar, element, legend } from "./element.js";
import { Scrape } from "./metrics.js";
import { TtftWatch } from "./ttft.js";
import { count, counted, milliseconds, percent, rate } from "./units.js";

const INTERVAL_MS = 1_000;

/** The series that the figures need. */
const SERIES = {
  running: "purser_num_requests_running",
  waiting: "purser_num_requests_waiting",
  finished: "purser_request_success_total",
  ttftCount: "purser_time_to_first_token_seconds_count",
  ttftSum: "purser_time_to_first_token_seconds_sum",
  queries: "purser_prefix_cache_queries_total",
  hits: "purser_prefix_cache_hits_total",
  generated: "purser_generation_tokens_total",
  preemptions: "purser_preemptions_total",
  evictions: "purser_cache_evictions_total",
  blocks: "purser_kv_blocks",
};

/** Blocks of the cache by state, in the order in which they are drawn. */
const BLOCKS = [
  { state: "used", label: "in use" },
  { state: "cached", label: "cached" },
  { state: "free", label: "free" },
];

/**
 * The figures in `root`. `onChange` hears that requests have begun or ended, `onConnection` a
 * text: empty, or why there are no figures.
 */
export class LiveFigures {
  #root;
  #onChange;
  #onConnection;
  #ttft = new TtftWatch();
  #timer = null;
  #signature = null;
  #generated = null;

  constructor(root, { onChange, onConnection }) {
    [this.#root, this.#onChange, this.#onConnection] = [root, onChange, onConnection];
    document.addEventListener("visibilitychange", () => this.#schedule(0));
  }

  /** Looks now, and then again and again. */
  start() {
    this.#schedule(0);
  }

  #schedule(delay) {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (!document.hidden) this.#timer = setTimeout(() => this.#look(), delay);
  }

  async #look() {
    try {
      const response = await ask("/metrics");
      this.#show(new Scrape(await response.text(), Object.values(SERIES)), performance.now());
      this.#onConnection("");
    } catch (error) {
      this.#onConnection(error.message);
    }
    this.#schedule(INTERVAL_MS);
  }

  #show(scrape, now) {
    const values = Object.fromEntries(
      Object.entries(SERIES).map(([key, name]) => [key, scrape.sum(name)]));
    this.#ttft.observe(values.ttftCount ?? 0, values.ttftSum ?? 0);
    const blocks = BLOCKS.map(({ state, label }) => (
      { state, label, size: scrape.sum(SERIES.blocks, { state }) ?? 0 }));
    const tokensPerSecond = this.#tokensPerSecond(values.generated, now);
    this.#root.replaceChildren(
      element("dl", { class: "tiles" }, ...this.#tiles(values, tokensPerSecond)),
      drawBlocks(blocks, values),
    );
    const signature = `${values.running} ${values.waiting} ${values.finished}`;
    if (signature !== this.#signature) {
      this.#signature = signature;
      this.#onChange();
    }
  }

  #tiles(values, tokensPerSecond) {
    const ttft = this.#ttft;
    const ttftNote = ttft.number > 0
      ? `median ${milliseconds(ttft.median)} of ${ttft.number}`
      : `mean ${milliseconds(ttft.mean)} since the start`;
    const hitRate = values.queries > 0 ? values.hits / values.queries : null;
    return [
      tile("ttft", "Time to first token", milliseconds(ttft.last), ttftNote),
      tile("hits", "Prefix cache hits", percent(hitRate),
        `${count(values.hits)} of ${counted(values.queries, "token")}`),
      tile("running", "Running", count(values.running), `${count(values.waiting)} waiting`),
      tile("rate", "Tokens per second", rate(tokensPerSecond), `${count(values.generated)} in all`),
    ];
  }

  /** Tokens generated per second since the last look; null at the first. */
  #tokensPerSecond(generated, now) {
    const before = this.#generated;
    this.#generated = { generated, now };
    if (before === null || generated < before.generated) return null;
    return (1e3 * (generated - before.generated)) / (now - before.now);
  }
}

function tile(name, label, value, note) {
  return element("div", { class: "tile", "data-figure": name },
    element("dt", {}, label),
    element("dd", { class: "value" }, value),
    element("dd", { class: "muted" }, note));
}

function drawBlocks(blocks, values) {
  const all = blocks.reduce((sum, { size }) => sum + size, 0);
  const parts = blocks.map(({ state, size, label }) => (
    { kind: `block-${state}`, size, label: `${label}: ${counted(size, "block")}` }));
  const entries = blocks.map(({ state, size, label }) => (
    { kind: `block-${state}`, label: `${count(size)} ${label}` }));
  return element("div", { class: "blocks", "data-figure": "blocks" },
    element("h3", {}, "KV blocks ", element("span", { class: "muted" }, count(all))),
    bar(parts, all),
    legend(entries),
    element("p", { class: "muted" },
      `${counted(values.evictions, "eviction")}, ${counted(values.preemptions, "preemption")}`));
}
