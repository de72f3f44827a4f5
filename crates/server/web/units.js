// Numbers as people read them.

const WHOLE = new Intl.NumberFormat("en");
const NONE = "–";

const isMissing = (value) => value === null || value === undefined || Number.isNaN(value);

/** A count: `1,204`. */
export function count(value) {
  return isMissing(value) ? NONE : WHOLE.format(value);
}

/** A count of something: `1 token`, `2 tokens`. */
export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A share of 0 to 1: `81 %`. */
export function percent(share) {
  return isMissing(share) ? NONE : `${Math.round(100 * share)} %`;
}

/** Milliseconds: `4.2 ms`, `130 ms`, `2.4 s`. */
export function milliseconds(value) {
  if (isMissing(value)) return NONE;
  if (value < 9.95) return `${value.toFixed(1)} ms`;
  if (value < 999.5) return `${Math.round(value)} ms`;
  return `${(value / 1000).toFixed(value < 99_950 ? 1 : 0)} s`;
}

/** Tokens per second: `4.2`, `91`. */
export function rate(value) {
  if (isMissing(value)) return NONE;
  return value < 10 ? value.toFixed(1) : count(Math.round(value));
}

/** A name such as `tool_outputs` as words. */
export function words(name) {
  return name.replaceAll("_", " ");
}
