// Counts what holds of a server and what does not, as checks.py does.

import { isDeepStrictEqual } from "node:util";

export class Checks {
  failed = 0;

  /** `found` must be `expected`. */
  equal(name, found, expected) {
    const told = () => `found ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`;
    this.holds(name, isDeepStrictEqual(found, expected), told());
  }

  /** `holds` must be true. */
  holds(name, holds, detail = "") {
    if (holds) {
      console.log(`ok      ${name}`);
    } else {
      this.failed += 1;
      console.log(`FAILED  ${name}: ${detail}`);
    }
  }

  /** `call` must end with an error of this kind, which is returned. */
  async refused(name, kind, call) {
    try {
      const answer = await call();
      this.holds(`${name} is refused`, false, `no error but ${JSON.stringify(answer)}`);
    } catch (error) {
      this.holds(`${name} is refused`, error instanceof kind, `${error}`);
      return error instanceof kind ? error : undefined;
    }
  }

  /** Runs `check(this, ...)`; an error fails it, and the next one runs all the same. */
  async attempt(name, check, ...values) {
    try {
      await check(this, ...values);
    } catch (error) {
      this.holds(`${name} runs to its end`, false, error.stack);
    }
  }
}

/** Runs `check(checks, url)` against the server that the command line names, and sets the exit status. */
export async function run(check) {
  const url = process.argv[2]?.replace(/\/$/, "");
  if (!url) {
    console.error(`usage: ${process.argv[1]} http://127.0.0.1:8000`);
    process.exit(2);
  }
  const checks = new Checks();
  await check(checks, url);
  console.log(checks.failed === 0 ? "all checks hold" : `${checks.failed} checks failed`);
  process.exitCode = checks.failed === 0 ? 0 : 1;
}
