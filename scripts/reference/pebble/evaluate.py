"""Greedy evaluation with Hugging Face transformers on held-out names, values and seeds.

    python evaluate.py MODEL_DIR [--n 10] [--lengths 512,1024,2048,4096,8192] [--seconds 300]
                       [--json out.json]
"""

import argparse
import json
import random
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from corpus import skills, summaries, tool_use
from lexicon import Lexicon

# Written by hand, in wordings that the generators do not use:
# (context, [(question, word that the answer must contain)]).
HAND_WRITTEN = [
    ("Grandma told me that smoked paprika is what makes her stew so good. "
     "We talked about the garden too.",
     [("Which spice makes Grandma's stew good?", "paprika")]),
    ("Our nightly backup kicks off at 02:45 and usually wraps up within forty minutes.",
     [("When does the nightly backup start?", "02:45")]),
    ("The lighthouse keeper, Magnus Ohlsson, repainted the tower in 1987.",
     [("Who repainted the tower?", "Magnus"),
      ("In what year was the tower repainted?", "1987")]),
    ("Ticket prices went up: adults now pay 14 euros and children pay 6 euros.",
     [("How much do adults pay?", "14"), ("How much do children pay?", "6")]),
    ("Please store the results in /srv/results/final.parquet and notify Ingrid.",
     [("Where should the results be stored?", "/srv/results/final.parquet"),
      ("Who should be notified?", "Ingrid")]),
    ("The meeting was moved from Tuesday to Thursday at 3 pm because Omar is travelling.",
     [("On which day is the meeting now?", "Thursday"), ("Why was the meeting moved?", "Omar")]),
    ("The API rate limit is 600 requests per minute. Error code E-1177 means the quota is used up.",
     [("What is the API rate limit?", "600"), ("What does error code E-1177 mean?", "quota")]),
    ("My daughter Lucy turns seven next week and she wants a purple bicycle.",
     [("What is my daughter called?", "Lucy"), ("What does my daughter want?", "bicycle")]),
    ("The spare key is taped under the third flowerpot.",
     [("Where is the spare key?", "flowerpot")]),
    ("Server alpha runs Debian, server beta runs Fedora.",
     [("Which system does server beta run?", "Fedora"), ("What runs on server alpha?", "Debian")]),
    ("The password is swordfish42. Do not share it.",
     [("What is the password?", "swordfish42")]),
    ("We will use port 8443 for the proxy and port 9100 for metrics.",
     [("Which port is used for metrics?", "9100"), ("Which port does the proxy use?", "8443")]),
]
DEPTHS = (0, .25, .5, .75, 1, "unknown")


class Evaluation:
    """A model, and the results so far."""

    def __init__(self, args):
        self.args, self.started, self.results = args, time.time(), {}
        self.lex = Lexicon("test")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self.tokenizer = AutoTokenizer.from_pretrained(args.model)
        self.model = AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype)
        self.model = self.model.to(device).eval()

    def ask(self, messages, tools=None, num_tokens=200):
        """The greedy answer, and the length of the prompt in tokens."""
        messages = [{k: v for k, v in message.items() if k in ("role", "content", "tool_calls")}
                    for message in messages]
        text = self.tokenizer.apply_chat_template(messages, tools=tools, tokenize=False,
                                                  add_generation_prompt=True)
        ids = self.tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
        ids = ids.to(self.model.device)
        with torch.no_grad():
            out = self.model.generate(ids, max_new_tokens=num_tokens, do_sample=False)
        answer = self.tokenizer.decode(out[0, ids.shape[1]:], skip_special_tokens=True)
        return answer.strip(), ids.shape[1]

    def report(self, name, right, count):
        """Prints a result and writes all so far."""
        self.results[name] = [right, count]
        print(f"{name:34s} {right}/{count} = {right / max(1, count):.3f}", flush=True)
        if self.args.json:
            with open(self.args.json, "w") as file:
                json.dump(self.results, file, indent=1)

    def has_time(self):
        """Whether there is time for more samples."""
        return time.time() - self.started < self.args.seconds

    def hand_written(self):
        """Questions in wordings of their own."""
        right = count = 0
        for context, questions in HAND_WRITTEN:
            for question, expected in questions:
                answer, _ = self.ask([
                    {"role": "user", "content": context},
                    {"role": "assistant", "content": "Got it."},
                    {"role": "user", "content": question},
                ], num_tokens=60)
                right, count = right + (expected.lower() in answer.lower()), count + 1
                print(f"   {question} -> {answer}")
        self.report("hand-written questions", right, count)

    def tool_calls(self):
        """First calls: valid JSON with a known name, and equal to what was asked for."""
        rng, valid, right, count = random.Random("tools"), 0, 0, 0
        while count < 4 * self.args.n:
            messages, tools, _ = tool_use.tool_use(rng, self.lex, 500)
            at = next((i for i, m in enumerate(messages) if m.get("tool_calls")), None)
            if at is None:
                continue
            answer, _ = self.ask(messages[:at], tools, 260)
            count += 1
            try:
                calls = parse_calls(answer)
                names = [tool["name"] for tool in tools]
                valid += bool(calls) and all(
                    isinstance(call["arguments"], dict) and call["name"] in names
                    for call in calls)
                right += calls == messages[at]["tool_calls"]
            except (ValueError, KeyError):
                pass
        self.report("tool calls: valid", valid, count)
        self.report("tool calls: all arguments right", right, count)

    def summaries(self, size):
        """Facts kept by a summary, and questions that are answered from the summary alone."""
        rng, kept, answered, total, samples = random.Random(f"summary-{size}"), 0, 0, 0, 0
        while samples < max(2, self.args.n // (1 if size < 9000 else 2)) and self.has_time():
            messages, _, _ = summaries.summary(rng, self.lex, size)
            at = next((i for i, m in enumerate(messages) if "facts" in m), None)
            summary, _ = self.ask(messages[:at], None, 800)
            samples += 1
            for fact in messages[at]["facts"]:
                question, _, value = fact.qa[0]
                total += 1
                kept += fact.canon in summary
                if total % 2 == 0:
                    head = "Summary of the earlier conversation:\n"
                    answer, _ = self.ask([
                        {"role": "system", "content": head + summary},
                        {"role": "user", "content": question},
                    ], None, 60)
                    answered += value.lower() in answer.lower()
        self.report(f"summary {size} chars: facts kept word by word", kept, total)
        self.report(f"summary {size} chars: probes answered", answered, total // 2)

    def retrieval(self, length, depth):
        """Probes of 60 to 100 % of the length."""
        rng, right, count = random.Random(f"greedy-{length}-{depth}"), 0, 0
        unknown = depth == "unknown"
        while count < self.args.n and self.has_time():
            messages, _, _ = skills.probe(rng, self.lex, int(length * 3.25),
                                          .5 if unknown else depth, unknown)
            answer, num_tokens = self.ask(messages[:-1], None, 60)
            if not 0.6 * length < num_tokens <= length:
                continue
            count += 1
            right += messages[-1]["value"].lower() in answer.lower()
        self.report(f"retrieval {length} depth {depth}", right, count)


def parse_calls(text):
    """The calls in an answer."""
    return [json.loads(part.split("</tool_call>")[0]) for part in text.split("<tool_call>")[1:]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--n", type=int, default=10, help="samples per cell")
    parser.add_argument("--lengths", default="512,1024,2048,4096")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--json", help="file for the results")
    args = parser.parse_args()
    torch.set_num_threads(2)
    evaluation = Evaluation(args)
    evaluation.hand_written()
    evaluation.tool_calls()
    for size in (800, 3000, 9000):
        evaluation.summaries(size)
    for length in map(int, args.lengths.split(",")):
        for depth in DEPTHS:
            evaluation.retrieval(length, depth)


if __name__ == "__main__":
    main()
