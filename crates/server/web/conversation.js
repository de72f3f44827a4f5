// A conversation with the model: what is sent, and what comes back.

import { ask, Refusal } from "./api.js";
import { events } from "./sse.js";

/** Turns that were answered, and the request for the next answer. */
export class Conversation {
  #turns = [];

  /** Forgets all turns. */
  clear() {
    this.#turns = [];
  }

  /**
   * Asks for the answer to `text` and gives what comes of it, one by one:
   * `{ stage }` while the context is decided, `{ report }`, `{ text }` of the answer,
   * `{ cost }`, `{ usage }`, `{ finishReason }`.
   * Throws a `Refusal`, or the `AbortError` of `signal`. What was said until then stays in the
   * conversation; a turn without any answer does not.
   */
  async *answer(text, settings, signal) {
    const messages = [...this.#turns, { role: "user", content: text }];
    let said = "";
    try {
      const body = request(messages, settings);
      const response = await ask("/v1/chat/completions", { method: "POST", body, signal });
      for await (const event of events(response)) {
        if (event.data === "[DONE]") return;
        for (const piece of pieces(event)) {
          said += piece.text ?? "";
          yield piece;
        }
      }
      throw new Refusal(0, "The answer ended before it was complete.");
    } finally {
      if (said !== "") this.#turns = [...messages, { role: "assistant", content: said }];
    }
  }
}

/** The body of a request. What the settings leave open is left to the server. */
function request(turns, { model, system, temperature, maxTokens, budgetMode, budgetTokens }) {
  const hasBudget = budgetMode !== "off";
  const instructions = system === "" ? [] : [{ role: "system", content: system }];
  return {
    model,
    messages: [...instructions, ...turns],
    stream: true,
    stream_options: { include_usage: true, ...(hasBudget && { include_context_budget: true }) },
    ...(temperature !== null && { temperature }),
    ...(maxTokens !== null && { max_tokens: maxTokens }),
    context_budget: {
      mode: budgetMode,
      ...(hasBudget && { report: "full" }),
      ...(hasBudget && budgetTokens !== null && { max_context_tokens: budgetTokens }),
    },
  };
}

/** What an event of the stream says. */
function* pieces({ name, data }) {
  const said = JSON.parse(data);
  if (name === "context_budget") {
    yield { stage: said };
    return;
  }
  if (said.error !== undefined) throw Refusal.of(200, said.error);
  const told = said.context_budget;
  if (told?.zones !== undefined) yield { report: told };
  else if (told?.cost !== undefined) yield { cost: told.cost };
  const choice = said.choices?.[0];
  if (choice?.delta?.content) yield { text: choice.delta.content };
  if (choice?.finish_reason) yield { finishReason: choice.finish_reason };
  if (said.usage) yield { usage: said.usage };
}
