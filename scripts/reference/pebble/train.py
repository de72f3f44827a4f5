"""Trains the model on packed documents; the schedule follows the wall clock.

    python train.py --out DIR --minutes 5.5          # one GPU
    python train.py --out DIR --tiny                 # CPU check, about a minute
    python train.py --out DIR --minutes 7 --init DIR # continue from a checkpoint
"""

import argparse
import json
import multiprocessing
import os
import queue
import random
import threading
import time

import numpy as np
import torch

import decoder
import held_out
from documents import CONTEXT, LONG, SHORT, TARGET, Packer, offer, work
from muon import Muon


class Training:
    """One run: workers make shards, a thread packs rows, the loop trains until time is up."""

    def __init__(self, args, started):
        self.args, self.started = args, started
        self.progress = multiprocessing.Value("d", 0.0)
        self.shards = {"short": multiprocessing.Queue(60), "long": multiprocessing.Queue(60)}
        self.held_out_queue = multiprocessing.Queue()
        self.processes = self.start_processes()
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        if self.device == "cuda":
            torch.set_float32_matmul_precision("high")
        else:
            torch.set_num_threads(2)
        self.model = decoder.build(decoder.TINY if args.tiny else decoder.CONFIG, self.device)
        if args.init:
            self.model.load(args.init)
        num_parameters = sum(p.numel() for p in self.model.parameters())
        print("parameters", num_parameters, self.device, flush=True)
        self.optimiser = Muon(self.model, self.compile)
        self.loss = self.compile(self.model.loss)
        for block in self.model.blocks:
            block.forward = self.compile(block.forward, dynamic=False)
        self.packers = {
            "short": Packer(self.shards["short"], args.tokens, 480, SHORT),
            "long": Packer(self.shards["long"], args.tokens, 112, LONG)
        }
        self.rows = queue.Queue(6)

    def start_processes(self):
        """Workers that make training documents, and one that makes those of the evaluation."""
        args = self.args
        shard_tokens = 20000 if args.tiny else 600000
        jobs = [(work, (index, args.stage, self.shards, self.progress, args.long_from,
                        args.tokenizer, args.seed, shard_tokens))
                for index in range(args.workers)]
        jobs.append((held_out.fill, (args.tokenizer, args.tiny, self.held_out_queue)))
        processes = [
            multiprocessing.Process(target=target, args=values, daemon=True)
            for target, values in jobs
        ]
        for process in processes:
            process.start()
        return processes

    def compile(self, function, **options):
        """The compiled function on a GPU, the function itself elsewhere."""
        return torch.compile(function, **options) if self.device == "cuda" else function

    def feed(self):
        """A thread that packs rows ahead of the loop."""
        random.seed(self.args.seed)
        while self.progress.value < 1:
            late = self.progress.value >= self.args.long_from
            kind = "long" if late and random.random() < self.args.long_share else "short"
            row = [torch.from_numpy(z) for z in self.packers[kind].batch()]
            if self.device == "cuda":
                row = [z.pin_memory() for z in row]
            offer(self.rows, (kind, row), lambda: self.progress.value < 1)

    def run(self):
        """Trains until time is up; returns the numbers of steps and tokens."""
        args = self.args
        threading.Thread(target=self.feed, daemon=True).start()
        begin = time.time()
        end = self.started + args.minutes * 60
        print(f"setup {begin - self.started:.1f}s", flush=True)
        step = 0
        while True:
            done = min(1.0, (time.time() - begin) / max(1.0, end - begin - 6))
            self.progress.value = min(done, 0.999)
            if done >= 1:
                break
            scale = self.schedule(step, done)
            kind, loss, answer_loss = self.step(step, done, scale)
            step += 1
            if step % (10 if args.tiny else 100) == 0 or step == 1:
                tokens = step * args.tokens
                queues = [self.shards[name].qsize() for name in ("short", "long")]
                print(f"step {step} f {done:.3f} {kind} loss {loss.item():.3f} "
                      f"answers {answer_loss.item():.4f} tok {tokens / 1e6:.0f}M "
                      f"{tokens / (time.time() - begin) / 1e3:.0f}k/s lr {scale:.2f} "
                      f"queues {queues} t {time.time() - self.started:.0f}", flush=True)
        self.progress.value = 1.0
        return step, step * args.tokens

    def schedule(self, step, done):
        """Warm-up over 100 steps, constant until 45 % of the time, then linear to the end."""
        falling = 1 - (1 - self.args.final) * (done - 0.45) / 0.55
        return self.args.peak * min(1, (step + 1) / 100) * (1 if done < 0.45 else falling)

    def step(self, step, done, scale):
        """One update; returns the kind of row, the loss, and the loss on answers."""
        kind, row = self.rows.get()
        row = [z.to(self.device, non_blocking=True) for z in row]
        ids, targets, classes, positions, bounds = row
        context = 0.1 if done < 0.3 and not self.args.init else 0.02
        weights = torch.where(classes == TARGET, 1.0,
                              torch.where(classes == CONTEXT, context, 0.0))
        max_len = SHORT if kind == "short" else LONG
        hidden = self.model.trunk(ids, positions, bounds, max_len)
        loss, losses, _ = self.loss(hidden, targets, weights)
        loss.backward()
        self.optimiser.step(scale, 0.85 + 0.1 * min(1, step / 300), self.args.lr)
        answers = classes == TARGET
        return kind, loss, (losses.detach() * answers).sum() / answers.sum()

    def evaluate(self):
        """{set: (share right, answers)}, teacher-forced.

        An answer counts when every token of it is the arg max, so greedy decoding would say it.
        """
        results = {}
        for name, documents in self.held_out_queue.get(timeout=100).items():
            packer = self.packers["long" if name.endswith("_long") else "short"]
            documents = [(np.array(ids, np.uint16), np.array(weights, np.uint8))
                         for ids, weights in documents]
            right = count = 0
            while documents:
                part, left = [], self.args.tokens
                while documents and len(documents[-1][0]) <= left and len(part) < packer.room():
                    part.append(documents.pop())
                    left -= len(part[-1][0])
                good, on = self.predict(packer, part)
                edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(np.int8), [0]])))
                for start, end in zip(edges[::2], edges[1::2]):
                    count += 1
                    right += bool(good[start:end].all())
            results[name] = (round(right / max(count, 1), 3), count)
        return results

    def predict(self, packer, part):
        """For each token of the row: whether it is the arg max, whether it is an answer's."""
        row = [torch.from_numpy(z).to(self.device) for z in packer.pack(part)]
        ids, targets, classes, positions, bounds = row
        hidden = self.model.trunk(ids, positions, bounds, packer.max_len)
        # The same compiled graph as in training.
        _, _, likeliest = self.loss(hidden, targets, (classes == TARGET).float())
        return (likeliest == targets).cpu().numpy(), (classes == TARGET).cpu().numpy()


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--tokenizer", default="model/tokenizer.json")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--init", help="folder of a checkpoint to continue from")
    parser.add_argument("--tokens", type=int, default=65536, help="tokens per step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--peak", type=float, default=1.0, help="factor on all learning rates")
    parser.add_argument("--final", type=float, default=0.05, help="share of it left at the end")
    parser.add_argument("--long_share", type=float, default=0.5)
    parser.add_argument("--long_from", type=float, default=0.35,
                        help="fraction of the run after which long documents join")
    parser.add_argument("--stage", type=int, default=1,
                        help="2: open-vocabulary data, for continuing with --init")
    parser.add_argument("--workers", type=int, default=13)
    parser.add_argument("--tiny", action="store_true", help="a check without a GPU")
    args = parser.parse_args()
    if args.tiny:
        args.minutes, args.tokens, args.workers, args.long_from = 0.6, 2048, 1, 2.0
    return args


def main():
    started = time.time()
    args = parse_args()
    training = Training(args, started)
    steps, tokens = training.run()
    training.model.save(args.out)
    results = training.evaluate()
    seconds = round(time.time() - started, 1)
    stats = {"steps": steps, "tokens": tokens, "seconds": seconds}
    for name, content in [("val", results), ("train_stats", stats)]:
        with open(f"{args.out}/{name}.json", "w") as file:
            json.dump(content, file, indent=1)
        print(name, json.dumps(content), flush=True)
    for process in training.processes:
        process.kill()
    # The queues' threads would wait for readers that are gone.
    os._exit(0)


if __name__ == "__main__":
    main()
