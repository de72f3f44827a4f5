"""Asks a running server for JSON by random schemas, and validates every finished answer.

    python scripts/clients/schemas.py http://127.0.0.1:8000 [--schemas 1000] [--seed 1]

At temperature 1 the model writes what it likes; only the grammar keeps it to the schema. Answers
that run out of tokens are counted, not validated. The exit status is 0 only if no request fails,
every finished answer validates, and most answers finish.
"""

import argparse
import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor

import jsonschema
import openai

CLIENTS = 8
MAX_TOKENS = 400
LEAST_FINISHED = 0.5
WORDS = ["city", "days", "name", "tags", "size", "note", "unit", "from", "naïve", "a b", "x/y", '"q"']


def schema(rng: random.Random, depth: int) -> dict:
    """A schema of what OpenAI's strict mode and agents' tools use."""
    kinds = ["string", "integer", "number", "boolean", "null", "enum", "const"]
    if depth > 0:
        kinds += ["object", "object", "object", "array", "array", "anyOf", "ref"]
    kind = rng.choice(kinds)
    if kind == "object":
        names = rng.sample(WORDS, rng.randint(1, 4))
        properties = {name: schema(rng, depth - 1) for name in names}
        required = [name for name in names if rng.random() < 0.7]
        fields = {"properties": properties, "required": required}
        return {"type": "object", **fields, "additionalProperties": False}
    if kind == "array":
        least = rng.randint(0, 2)
        bounds = {"minItems": least, "maxItems": least + rng.randint(0, 2)}
        return {"type": "array", "items": schema(rng, depth - 1), **bounds}
    if kind == "anyOf":
        return {"anyOf": [schema(rng, depth - 1) for _ in range(rng.randint(2, 3))]}
    if kind == "ref":
        return {"$ref": "#/$defs/leaf"}
    if kind == "enum":
        return {"enum": rng.sample([*WORDS, 1, 2.5, True, None], rng.randint(1, 5))}
    if kind == "const":
        return {"const": rng.choice([*WORDS, 7, False])}
    if kind == "string":
        shapes = [
            {"maxLength": rng.randint(1, 20)},
            {"minLength": 2, "maxLength": 9},
            {"pattern": "^[a-f]{2,4}-[0-9]+$", "maxLength": 12},
            {"format": "date"},
        ]
        return {"type": "string", **rng.choice(shapes)}
    if kind in ("integer", "number"):
        low = rng.randint(-50, 50)
        return {"type": kind, "minimum": low, "maximum": low + rng.randint(0, 1000)}
    return {"type": kind}


def document(seed: int) -> dict:
    rng = random.Random(seed)
    names = rng.sample(WORDS, rng.randint(1, 4))
    return {
        "type": "object",
        "properties": {name: schema(rng, 3) for name in names},
        "required": names,
        "additionalProperties": False,
        "$defs": {"leaf": schema(rng, 0)},
    }


def ask(client: openai.OpenAI, model: str, seed: int) -> str:
    """What came of one schema: `valid`, `cut`, or what is wrong."""
    asked = document(seed)
    wish = {"type": "json_schema", "json_schema": {"name": "random", "schema": asked}}
    try:
        answer = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "Write JSON."}],
            temperature=1.0,
            seed=seed,
            max_tokens=MAX_TOKENS,
            response_format=wish,
        )
    except openai.OpenAIError as error:
        return f"{error}: {json.dumps(asked)}"
    choice = answer.choices[0]
    if choice.finish_reason == "length":
        return "cut"
    try:
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        validator = jsonschema.Draft202012Validator(asked, format_checker=checker)
        validator.validate(json.loads(choice.message.content))
    except (ValueError, jsonschema.ValidationError) as error:
        return f"{error}: {choice.message.content!r} by {json.dumps(asked)}"
    return "valid"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="where the server listens, for example http://127.0.0.1:8000")
    parser.add_argument("--schemas", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    client = openai.OpenAI(base_url=f"{args.url}/v1", api_key="none", max_retries=0, timeout=600)
    model = client.models.list().data[0].id
    seeds = range(args.seed, args.seed + args.schemas)
    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(lambda seed: ask(client, model, seed), seeds))
    wrong = [text for text in found if text not in ("valid", "cut")]
    for text in wrong[:5]:
        print(f"FAILED {text}")
    valid = found.count("valid")
    print(f"{args.schemas} schemas: {valid} valid, {found.count('cut')} cut, {len(wrong)} wrong")
    if wrong or valid < LEAST_FINISHED * args.schemas:
        sys.exit(1)


if __name__ == "__main__":
    main()
