// The chat: the log of a conversation, and the fields below it.

import { Conversation } from "./conversation.js";
import { byId, element } from "./element.js";
import { count, counted, milliseconds, rate } from "./units.js";

/** How an answer ended, where that is worth a word. */
const ENDINGS = { length: "cut at the most tokens", stop: null };

/**
 * The chat. `onReport` hears the report of a request and its cost as they come, `onOff` the usage
 * of one without a budget.
 */
export class Chat {
  #conversation = new Conversation();
  #running = null;
  #log = byId("log");
  #prompt = byId("prompt");
  #onReport;
  #onOff;

  constructor({ onReport, onOff }) {
    [this.#onReport, this.#onOff] = [onReport, onOff];
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    byId("settings-form").addEventListener("submit", (event) => event.preventDefault());
    this.#prompt.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    byId("stop").addEventListener("click", () => this.stop());
    byId("clear").addEventListener("click", () => this.#clear());
  }

  /** Stops the answer that is coming; whether there was one. */
  stop() {
    this.#running?.abort();
    return this.#running !== null;
  }

  #clear() {
    this.stop();
    this.#conversation.clear();
    this.#log.replaceChildren();
    this.#prompt.focus();
  }

  async #send() {
    const text = this.#prompt.value.trim();
    if (text === "" || this.#running !== null || !settingsAreRight()) return;
    const running = new AbortController();
    this.#setRunning(running);
    this.#prompt.value = "";
    const asked = this.#add("user", text);
    const answer = new Answer(this.#add("assistant", ""), () => this.#follow());
    const conversation = this.#conversation;
    try {
      for await (const piece of conversation.answer(text, settings(), running.signal)) {
        answer.take(piece);
        this.#report(piece, answer);
      }
      answer.end();
    } catch (error) {
      const wasStopped = error.name === "AbortError";
      answer.fail(wasStopped ? "Stopped." : error.message, wasStopped);
      if (answer.isEmpty) this.#takeBack(asked, text);
    } finally {
      this.#setRunning(null);
    }
  }

  #report({ report, cost, usage }, answer) {
    if (report !== undefined) answer.report = report;
    if (answer.report !== null && (report ?? cost) !== undefined) this.#onReport(answer.report, cost);
    if (answer.report === null && usage !== undefined) this.#onOff(usage);
  }

  /** What has no answer is no part of the conversation; it can be sent again. */
  #takeBack(asked, text) {
    asked.classList.add("unsent");
    if (this.#prompt.value === "") this.#prompt.value = text;
  }

  #setRunning(running) {
    this.#running = running;
    byId("send").disabled = running !== null;
    byId("stop").disabled = running === null;
    // A button that is disabled loses the focus.
    if (document.activeElement === document.body) this.#prompt.focus();
  }

  #add(role, text) {
    const turn = element("li", { class: `turn ${role}` },
      element("p", { class: "role" }, role === "user" ? "You" : byId("model").value),
      element("div", { class: "text" }, text));
    this.#log.append(turn);
    this.#log.scrollTop = this.#log.scrollHeight;
    return turn;
  }

  /** Keeps the end of the log in sight, unless somebody has scrolled up. */
  #follow() {
    const log = this.#log;
    const isNearEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    if (isNearEnd) log.scrollTop = log.scrollHeight;
  }
}

/** An answer in the log while it comes. */
class Answer {
  /** The report of its context, once it is known. */
  report = null;
  #turn;
  #text;
  #note = element("p", { class: "note muted" }, "waiting…");
  #follow;
  #sent = performance.now();
  #first = null;
  #last = null;
  #usage = null;
  #finishReason = null;

  constructor(turn, follow) {
    [this.#turn, this.#text, this.#follow] = [turn, turn.querySelector(".text"), follow];
    // Screen readers are told of the answer once it is complete, not of every token.
    turn.setAttribute("aria-busy", "true");
    turn.append(this.#note);
  }

  get isEmpty() {
    return this.#first === null;
  }

  take({ stage, text, usage, finishReason }) {
    if (stage !== undefined) this.#note.textContent = stageWords(stage);
    if (usage !== undefined) this.#usage = usage;
    if (finishReason !== undefined) this.#finishReason = finishReason;
    if (text === undefined) return;
    this.#last = performance.now();
    this.#first ??= this.#last;
    this.#text.append(text);
    this.#note.textContent = `first token after ${milliseconds(this.#first - this.#sent)}`;
    this.#follow();
  }

  end() {
    this.#note.textContent = this.#figures().join(" · ");
    this.#turn.removeAttribute("aria-busy");
    this.#follow();
  }

  fail(message, isWish) {
    this.#note.textContent = message;
    if (!isWish) {
      this.#note.classList.add("error");
      this.#note.setAttribute("role", "alert");
    }
    this.#turn.removeAttribute("aria-busy");
    this.#follow();
  }

  #figures() {
    const figures = [];
    if (this.#first !== null) {
      figures.push(`first token after ${milliseconds(this.#first - this.#sent)}`);
    }
    const usage = this.#usage;
    if (usage !== null) {
      const cached = usage.prompt_tokens_details.cached_tokens;
      figures.push(`${count(cached)} of ${counted(usage.prompt_tokens, "prompt token")} cached`);
      const seconds = (this.#last - this.#first) / 1e3;
      // Of a few tokens, the time says more of packets than of the model.
      const speed = usage.completion_tokens > 8 && seconds > 0
        ? `, ${rate((usage.completion_tokens - 1) / seconds)} a second` : "";
      figures.push(`${counted(usage.completion_tokens, "token")}${speed}`);
    }
    const reason = this.#finishReason;
    const ending = reason in ENDINGS ? ENDINGS[reason] : `ended: ${reason}`;
    if (ending !== null) figures.push(ending);
    return figures;
  }
}

function stageWords({ stage, done, total }) {
  if (stage === "planning") return "deciding on the context…";
  if (stage === "compacting") return `summarising old turns, ${done} of ${total}…`;
  return "computing the prompt…";
}

/** Whether the browser takes every field; shows the first that it does not. */
function settingsAreRight() {
  const form = byId("settings-form");
  if (form.checkValidity()) return true;
  byId("settings").open = true;
  form.reportValidity();
  return false;
}

/** The settings as they stand; null where the server is to choose. */
function settings() {
  const number = (id) => (byId(id).value === "" ? null : Number(byId(id).value));
  return {
    model: byId("model").value,
    system: byId("system").value,
    temperature: number("temperature"),
    maxTokens: number("max-tokens"),
    budgetMode: byId("budget-mode").value,
    budgetTokens: number("budget-tokens"),
  };
}
