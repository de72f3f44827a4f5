"""The tables of a folder of results.

Results are lines of JSON that later runs add to. Of each row the newest run counts: whatever was
disturbed can be measured again alone.
"""

import functools
import json
import statistics
from pathlib import Path

from peer_models import CONVERTED, ModelFiles
from roofline import Limits, Shape
from workload import Workload

MAX_FOREIGN_SHARE = 0.05
PROGRAMS = ["purser", "llama.cpp"]
# Least ratio of tokens per second, ours to theirs, by workload and format; where two are given, the
# first is for SmolLM2-135M's shape and the second for Qwen3-0.6B's.
SPEED_GOALS = {
    ("pp512", "bf16"): (1.4, 1.4),
    ("pp2048", "bf16"): (2.0, 1.6),
    ("pp512", "q8_0"): (3.0, 3.0),
    ("pp2048", "q8_0"): (3.0, 3.0),
    ("pp2048", "q4_k_m"): (2.0, 2.0),
    ("tg128", "bf16"): (1.2, 1.0),
    ("tg128", "q8_0"): (1.3, 1.3),
    ("tg128", "q4_k_m"): (1.2, 1.3),
    ("tg32x8@128", "bf16"): (1.7, 1.7),
    ("tg32x16@128", "bf16"): (1.7, 1.7),
    ("tg32x8@128", "q8_0"): (2.5, 2.5),
    ("tg32x16@128", "q8_0"): (2.5, 2.5),
    ("tg32x8@shared1024", "bf16"): (2.0, 2.0),
    ("tg32x16@shared1024", "bf16"): (2.0, 2.0),
    ("tg32x8@shared1024", "q8_0"): (2.0, 2.0),
    ("tg32x16@shared1024", "q8_0"): (2.0, 2.0),
    ("tg32x8@shared1024", "q4_k_m"): (2.0, 2.0),
    ("tg32x16@shared1024", "q4_k_m"): (2.0, 2.0),
}
GOAL_MODELS = ["smollm2-135m", "qwen3-0.6b"]
# Greatest ratio of seconds, ours to theirs.
SERVED_GOALS = {"shared prefix": 0.2, "TTFT, cached": 0.5, "load": 1.0}


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def newest(results: list[dict]) -> dict[tuple, list[dict]]:
    """The repetitions of each row, of the run that measured it last."""
    rows: dict[tuple, list[dict]] = {}
    for result in results:
        key = (result["model"], result["format"], result["workload"])
        rows.setdefault(key, []).append(result)
    for key, repetitions in rows.items():
        last = max(result["run"] for result in repetitions)
        rows[key] = [result for result in repetitions if result["run"] == last]
    return rows


def of(results: list[dict], program: str, field: str) -> list[float]:
    return [r[field] for r in results if r["program"] == program and field in r]


def cell(values: list[float], digits: int) -> str:
    if not values:
        return "failed"
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} [{low:.{digits}f}..{high:.{digits}f}]"


def ratio(results: list[dict], field: str) -> float | None:
    """The ratio of the medians, ours to theirs, or `None` where one of them failed."""
    ours, theirs = (of(results, program, field) for program in PROGRAMS)
    return statistics.median(ours) / statistics.median(theirs) if ours and theirs else None


def others(results: list[dict]) -> str:
    shares = [result["foreign_share"] for result in results if "foreign_share" in result]
    if not shares:
        return "-"
    share = statistics.median(shares)
    return f"{share:.0%}{' (busy)' if share > MAX_FOREIGN_SHARE else ''}"


def verdict(value: float | None, goal: float | None, at_least: bool) -> list[str]:
    """The cells `ratio` and `goal`."""
    shown = "-" if value is None else f"{value:.2f}"
    if goal is None:
        return [shown, "-"]
    met = value is not None and (value >= goal if at_least else value <= goal)
    sign = ">=" if at_least else "<="
    return [f"**{shown}**" if met else shown, f"{sign} {goal:g}"]


def speed_row(key: tuple, results: list[dict], most: float | None) -> str:
    """One line of the table; `most` is the roofline's tokens per second."""
    model, weights, workload = key
    field = "tokens_per_second"
    goals = SPEED_GOALS.get((workload, weights))
    goal = goals[GOAL_MODELS.index(model)] if goals and model in GOAL_MODELS else None
    cells = [cell(of(results, program, field), 1) for program in PROGRAMS]
    cells += verdict(ratio(results, field), goal, at_least=True)
    cells.append("-" if most is None else f"{most:.0f}")
    for program in PROGRAMS:
        rates = of(results, program, field)
        known = most is not None and rates
        cells.append(f"{statistics.median(rates) / most:.0%}" if known else "-")
    return f"| {model} | {weights} | {workload} | {' | '.join(cells)} | {others(results)} |"


def speed_table(results: list[dict], limits: list[dict], models: Path) -> list[str]:
    lines = [
        "Tokens per second: median [min..max]; ratio of the medians, ours to theirs, bold where it "
        "reaches the goal; the roofline and the shares of it that both achieve; median share of "
        "the processors that others used meanwhile.",
        "",
        "| model | weights | workload | purser | llama.cpp | ratio | goal | roofline | purser "
        "| llama.cpp | others |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for key, repetitions in newest(results).items():
        most = roofline(key, repetitions[0]["threads"], limits, models)
        lines.append(speed_row(key, repetitions, most))
    return lines


def roofline(key: tuple, threads: int, limits: list[dict], models: Path) -> float | None:
    """Tokens per second at most; `None` where the limits or the weights are not there."""
    model, weights, workload = key
    files = ModelFiles(models, model, weights)
    machine = Limits.of(limits, threads)
    if not machine.bandwidth or not files.gguf.exists():
        return None
    return shape(files).tokens_per_second(machine, Workload.parse(workload))


@functools.cache
def shape(files: ModelFiles) -> Shape:
    return Shape.read(files.gguf, files.config(), files.format)


def served_table(results: list[dict]) -> list[str]:
    lines = [
        "Seconds over HTTP: median [min..max]; ratio of the medians, ours to theirs, bold where it "
        "reaches the goal; median share of the processors that others used meanwhile.",
        "",
        "| model | weights | measured | purser | llama-server | ratio | goal | others |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (model, weights, measured), repetitions in newest(results).items():
        cells = [cell(of(repetitions, program, "seconds"), 3) for program in PROGRAMS]
        value = ratio(repetitions, "seconds")
        cells += verdict(value, SERVED_GOALS.get(measured), at_least=False)
        cells.append(others(repetitions))
        lines.append(f"| {model} | {weights} | {measured} | {' | '.join(cells)} |")
    return lines


def limits_table(limits: list[dict]) -> list[str]:
    lines = [
        "What the machine can do: best [median] of the repetitions.",
        "",
        "| quantity | unit | threads | best [median] |",
        "|---|---|---|---|",
    ]
    for line in limits:
        name, unit, threads = line["quantity"], line["unit"], line["threads"]
        values = f"{line['max']:.1f} [{line['median']:.1f}]"
        lines.append(f"| {name} | {unit} | {threads} | {values} |")
    return lines


def accuracy_table(results: list[dict]) -> list[str]:
    lines = [
        "Mean Kullback-Leibler divergence of the next token's distribution from that of the same "
        "model in f32 computed by transformers, in nats, and how often the likeliest token is the "
        "same.",
        "",
        "| model | weights | positions | purser | llama.cpp | purser, same | llama.cpp, same |",
        "|---|---|---|---|---|---|---|",
    ]
    for (model, weights, _), programs in newest(results).items():
        cells = [str(programs[0]["positions"])]
        for field, form in (("divergence", "{:.2e}"), ("same_token", "{:.2%}")):
            for program in PROGRAMS:
                values = of(programs, program, field)
                cells.append(form.format(values[-1]) if values else "failed")
        lines.append(f"| {model} | {weights} | {' | '.join(cells)} |")
    return lines


def failures(results: list[dict]) -> list[str]:
    texts = [result["error"] for rows in newest(results).values() for result in rows
             if "error" in result]
    return ["Failed:", "", *(f"- {text}" for text in dict.fromkeys(texts))] if texts else []


def write(out: Path, models: Path) -> str:
    """Writes `report.md` from the results in the folder."""
    limits, speed = read(out / "limits.jsonl"), read(out / "speed.jsonl")
    served, accuracy = read(out / "served.jsonl"), read(out / "accuracy.jsonl")
    parts = [provenance([*speed, *served, *accuracy], limits)]
    parts += [limits_table(limits)] if limits else []
    parts += [speed_table(speed, limits, models)] if speed else []
    parts += [served_table(served)] if served else []
    parts += [accuracy_table(accuracy)] if accuracy else []
    parts.append(failures([*speed, *served, *accuracy]))
    text = "\n\n".join("\n".join(part) for part in parts if part) + "\n"
    (out / "report.md").write_text(text)
    return text


def provenance(results: list[dict], limits: list[dict]) -> list[str]:
    """Machine, commits and commands."""
    lines = []
    if limits:
        machine = limits[-1]
        lines.append(
            f"Processor: {machine['processor']}, {machine['hardware_threads']} threads, "
            f"{machine['memory_gib']} GiB; features: {' '.join(machine['features'])}  "
        )
    commits = dict.fromkeys(result["commit"] for result in [*limits, *results])
    lines.append(f"Commit: {', '.join(commits)}  ")
    commands = dict.fromkeys(f"`{result['command']}`" for result in results)
    lines.append(f"Command: {', '.join(commands)}  ")
    devices = {r["program"]: r["device"] for r in results if "device" in r}
    lines += [f"{program}: {device}  " for program, device in sorted(devices.items())]
    return lines
