// A server to test: `purser serve` on a port of the system's choice.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const running = new Set();

/** Ends the servers that a test has left running. */
export function killServers() {
  for (const child of running) child.kill("SIGKILL");
}

/** Starts `binary` and waits until it says where it listens. */
export async function startServer(binary, flags = []) {
  const child = spawn(binary, ["serve", "--port", "0", ...flags], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  running.add(child);
  child.once("exit", () => running.delete(child));
  const exit = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/\S+/.exec(line)?.[0];
    if (url !== undefined) {
      child.stdout.resume();
      return new Server(url, child, exit);
    }
  }
  throw new Error(`${binary} ended with ${await exit} before it listened`);
}

/** A running server. */
export class Server {
  #child;
  #exit;

  constructor(url, child, exit) {
    [this.url, this.#child, this.#exit] = [url, child, exit];
  }

  /** Asks it to stop, as an init system does; its exit status. */
  stop() {
    this.#child.kill("SIGTERM");
    return this.#exit;
  }

  /** Halts it where it is, in the middle of whatever it answers. */
  pause() {
    this.#child.kill("SIGSTOP");
  }

  /** Lets it go on. */
  resume() {
    this.#child.kill("SIGCONT");
  }

  /** The JSON of a GET; null where there is no such route. */
  async read(path) {
    const response = await fetch(this.url + path);
    if (response.status === 404) return null;
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /**
   * A figure of /metrics: the sum of the samples of a name, as an independent reader of the text
   * sees it; `part` must be in the line.
   */
  async metric(name, part = "") {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const lines = text.split("\n")
      .filter((line) => line.startsWith(`${name}{`) && line.includes(part));
    if (lines.length === 0) throw new Error(`no ${name} ${part}`);
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  }
}
