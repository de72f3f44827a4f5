// The context budget of a request: where the tokens of its prompt are, and what was done to them.

import { bar, element, legend } from "./element.js";
import { count, counted, milliseconds, percent, words } from "./units.js";

/** The server's zones in the order of a prompt; those of clients follow. */
const ORDER = [
  "system", "tool_schemas", "examples", "retrieval", "memory", "history", "tool_outputs",
  "live_turn",
];

/**
 * A report's zones as `{ zone, before, after, cached, computed }`, and as `template` what the chat
 * template writes around them: the rest of the whole prompt.
 */
export function zonesOf(report) {
  const place = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  const zones = Object.entries(report.zones)
    .sort(([one], [other]) => place(one) - place(other) || one.localeCompare(other))
    .map(([zone, { before, after, cached }]) => zoneOf(zone, before, after, cached));
  const rest = (whole, key) => Math.max(whole - zones.reduce((sum, zone) => sum + zone[key], 0), 0);
  zones.push(zoneOf("template", rest(report.stages.received, "before"),
    rest(report.stages.rendered, "after"), rest(report.cache.matched, "cached")));
  return zones.filter(({ before, after }) => before > 0 || after > 0);
}

/** What is cached of a zone is counted before this request's own edits, which may shorten it. */
function zoneOf(zone, before, after, cached) {
  const left = Math.min(cached, after);
  return { zone, before, after, cached: left, computed: after - left };
}

/** Draws a report into `root`; `cost` is what is known once the prompt was computed. */
export function drawReport(root, report, cost = report.cost) {
  root.replaceChildren(
    headline(report),
    budgetBar(report),
    zoneTable(report),
    costLine(cost),
    ...edits(report),
    ...list("Warnings", report.warnings.map(({ code, message }) => `${words(code)}: ${message}`)),
  );
}

/** Says that a request had no budget. */
export function drawOff(root, usage) {
  const cached = usage.prompt_tokens_details.cached_tokens;
  root.replaceChildren(element("p", {},
    `The budget of this request was off: ${counted(usage.prompt_tokens, "prompt token")}, ` +
    `${count(cached)} of them cached.`));
}

function headline({ status, budget }) {
  const observed = status === "observed" ? "; nothing was changed" : "";
  return element("p", {},
    element("strong", { class: "status" }, words(status)), observed,
    ` · ${count(budget.used)} of ${counted(budget.B, "token")}, ` +
    `${percent(budget.utilization)} with the output`);
}

function budgetBar({ budget, cache }) {
  const parts = [
    { kind: "cached", label: "cached", size: cache.matched },
    { kind: "computed", label: "computed", size: cache.prefilled },
    { kind: "output", label: "for the output", size: budget.reserved_output },
    { kind: "free", label: "left", size: budget.remaining },
  ];
  const whole = Math.max(budget.B, parts.reduce((sum, { size }) => sum + size, 0));
  const entries = parts.map(({ kind, label, size }) => ({ kind, label: `${count(size)} ${label}` }));
  return element("div", { class: "budget" }, bar(parts, whole, "tall"), legend(entries));
}

function zoneTable(report) {
  const zones = zonesOf(report);
  const whole = Math.max(...zones.flatMap(({ before, after }) => [before, after]), 1);
  const heads = ["Zone", "Before", "After", "Cached", "Computed"];
  const cells = (zone) => ["before", "after", "cached", "computed"]
    .map((key) => element("td", { "data-tokens": key }, count(zone[key])));
  const rows = zones.map((zone) => element("tbody", { "data-zone": zone.zone },
    element("tr", {}, element("th", { scope: "row" }, words(zone.zone)), ...cells(zone)),
    element("tr", { class: "bars", "aria-hidden": "true" },
      element("td", { colspan: heads.length }, ...zoneBars(zone, whole)))));
  const all = {
    before: report.stages.received,
    after: report.stages.rendered,
    cached: report.cache.matched,
    computed: report.cache.prefilled,
  };
  return element("table", { class: "zones" },
    element("caption", { class: "unseen" }, "Tokens of the prompt by zone, before and after edits"),
    element("thead", {}, element("tr", {}, heads.map((head) => element("th", { scope: "col" }, head)))),
    ...rows,
    element("tfoot", {},
      element("tr", {}, element("th", { scope: "row" }, "prompt"), ...cells(all))));
}

function zoneBars({ before, after, cached, computed }, whole) {
  const parts = [
    { kind: "cached", size: cached, label: `${counted(cached, "token")} cached` },
    { kind: "computed", size: computed, label: `${counted(computed, "token")} computed` },
  ];
  const bars = [bar(parts, whole)];
  if (before !== after) {
    const label = `${counted(before, "token")} before the edits`;
    bars.unshift(bar([{ kind: "before", size: before, label }], whole));
  }
  return bars;
}

function costLine(cost) {
  const told = [
    `planned in ${milliseconds(cost.planning_ms)}`,
    `prefill ${milliseconds(cost.actual_prefill_ms)} (predicted ` +
      `${milliseconds(cost.predicted_prefill_ms)})`,
    `the cache saved about ${milliseconds(cost.saved_prefill_ms)}`,
  ];
  return element("p", { class: "muted cost" }, told.join(" · "));
}

function edits({ edits: made, status }) {
  const title = status === "observed" ? "Edits that enforce would make" : "Edits";
  const lines = made.map((edit) => element("li", {},
    element("strong", {}, words(edit.op)), ` ${target(edit.ref)}: `,
    `${count(edit.before)} → ${counted(edit.after, "token")}`,
    edit.source === "ledger" ? " (as in an earlier request)" : ` (${edit.reason})`));
  return list(title, lines);
}

/** What an edit concerns, as a report names it. */
function target(ref) {
  if (Array.isArray(ref.messages)) return `messages ${ref.messages[0]} to ${ref.messages[1]}`;
  if (ref.message_index !== undefined) return `message ${ref.message_index}`;
  const call = ref.tool_call_id === undefined ? "" : ` of ${ref.tool_call_id}`;
  return `${ref.tool ?? "a result"}${call}`;
}

function list(title, lines) {
  if (lines.length === 0) return [];
  const items = lines.map((line) => (line instanceof Node ? line : element("li", {}, line)));
  return [element("h3", {}, title), element("ul", { class: "plain" }, items)];
}
