// Prometheus' text format, as much of it as the page reads.

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Samples of a scrape by name. */
export class Scrape {
  #samples = new Map();

  /** Reads the samples whose names are in `names`; the others are passed over. */
  constructor(text, names) {
    for (const line of text.split("\n")) {
      if (line.startsWith("#")) continue;
      const [, name, labels, value] = SAMPLE.exec(line) ?? [];
      if (name === undefined || !names.includes(name)) continue;
      const sample = { labels: parseLabels(labels ?? ""), value: parseValue(value) };
      this.#samples.set(name, [...(this.#samples.get(name) ?? []), sample]);
    }
  }

  /** The sum of the samples of a name that have these labels; null where there are none. */
  sum(name, labels = {}) {
    const wanted = Object.entries(labels);
    const fitting = (this.#samples.get(name) ?? [])
      .filter((sample) => wanted.every(([key, value]) => sample.labels[key] === value));
    if (fitting.length === 0) return null;
    return fitting.reduce((sum, sample) => sum + sample.value, 0);
  }
}

function parseLabels(text) {
  const labels = {};
  for (const [, name, value] of text.matchAll(LABEL)) {
    labels[name] = value.replace(/\\(.)/g, (_, escaped) => (escaped === "n" ? "\n" : escaped));
  }
  return labels;
}

function parseValue(text) {
  return Number(text.replace("Inf", "Infinity"));
}
