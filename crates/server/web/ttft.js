// Times to the first token, from the two sums that the server keeps of them.

/** Requests that the median is of. */
const RECENT = 20;

/**
 * Watches the count and the sum (seconds) of a histogram. What came between two looks is told
 * apart only where it is one request; of several, each counts as their mean.
 */
export class TtftWatch {
  #count = null;
  #sum = 0;
  #recent = [];

  /** A look at the histogram. */
  observe(count, sum) {
    // A server that was started anew counts from 0.
    const isFirst = this.#count === null || count < this.#count;
    const come = isFirst ? 0 : count - this.#count;
    if (come > 0) {
      const mean = (sum - this.#sum) / come;
      const kept = Math.min(come, RECENT);
      this.#recent = [...this.#recent, ...Array(kept).fill(mean)].slice(-RECENT);
    }
    [this.#count, this.#sum] = [count, sum];
  }

  /** Milliseconds of the last request since the first look; null before it. */
  get last() {
    return this.#recent.length === 0 ? null : 1e3 * this.#recent.at(-1);
  }

  /** Milliseconds: the median of the requests since the first look; null where there are none. */
  get median() {
    const sorted = [...this.#recent].sort((a, b) => a - b);
    if (sorted.length === 0) return null;
    const middle = sorted.length >> 1;
    const upper = sorted[middle];
    return 1e3 * (sorted.length % 2 === 1 ? upper : (sorted[middle - 1] + upper) / 2);
  }

  /** How many requests the median is of. */
  get number() {
    return this.#recent.length;
  }

  /** Milliseconds: the mean since the server started; null before its first token. */
  get mean() {
    return this.#count > 0 ? (1e3 * this.#sum) / this.#count : null;
  }
}
