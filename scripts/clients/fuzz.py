"""Asks a running server what its OpenAPI document allows, and what it does not.

    python scripts/clients/fuzz.py http://127.0.0.1:8000 [--requests 300] [--seed 1]

First every example of the document is sent: it must be answered with a success, and every event of a
stream must be as the document says. Then requests are generated from the document, half of them
wrong on purpose. Whatever is answered, it must not be an error of the server, and status, content
type and body must be as the document says. Answers are kept short, so that requests are quick.

The exit status is 0 only if nothing else was answered, and every route has answered with a success.
"""

import argparse
import copy
import itertools
import json
import random
import sys
import time
from collections import Counter

import jsonschema
import schemathesis
from hypothesis.errors import Unsatisfiable
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.core.errors import InvalidSchema
from schemathesis.core.failures import Failure, FailureGroup

load_all_checks()
CHECKS = schemathesis.checks.CHECKS.get_by_names([
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
])
MAX_TOKENS = 4
# Fields that bound an answer, by the routes that have them.
BOUNDS = {
    "/v1/chat/completions": "max_tokens",
    "/v1/completions": "max_tokens",
    "/v1/messages": "max_tokens",
    "/v1/responses": "max_output_tokens",
    "/v1/context/probe": "max_tokens",
}
# Routes whose `options` do.
OPTIONS = ("/api/chat", "/api/generate")
# What these examples name is nowhere yet.
NAMES_NOTHING = {"restoreText", "giveFeedback", "loadAdapter", "unloadAdapter"}
# What is known only from answers: which field of which route names what another one asks for.
TOLD = {
    "/v1/responses": ("id", "/v1/responses/", "id"),
    "/v1/chat/completions": ("id", "/v1/requests/", "id"),
    "/v1/context/plan": ("plan_id", "/v1/context/feedback/", "plan_id"),
}
LINES = "application/x-ndjson"
EVENTS = "text/event-stream"
STREAMS = (LINES, EVENTS)
# What ends a stream of OpenAI's API.
DONE = "[DONE]"
# A file is written before it is read, and read before it is deleted.
ORDER = ["post", "put", "get", "delete"]
# Fields of an object that generated requests choose from.
MAX_FIELDS = 6
# Requests of each operation that one choice of fields is good for.
ROUND = 8
MAX_SHOWN = 40


class Findings:
    """What is not as the document says, once each."""

    def __init__(self):
        self.found = {}
        self.answers = Counter()
        self.succeeded = set()

    def add(self, operation, what, request):
        """Something is wrong with the answer to a request."""
        key = (operation.label, what.splitlines()[0])
        if key not in self.found:
            self.found[key] = (what, request)

    def answered(self, operation, status):
        """A request was answered."""
        self.answers[f"{status // 100}xx"] += 1
        if status < 400:
            self.succeeded.add(operation.label)


def bounded(body, path):
    """The same request, but for numbers that would make its answer long."""
    if not isinstance(body, dict):
        return body
    body = dict(body)

    def lower(fields, name, most):
        if type(fields.get(name)) is int and fields[name] > most:
            fields[name] = most

    for name in ("max_tokens", "max_completion_tokens", "max_output_tokens", "min_tokens"):
        lower(body, name, MAX_TOKENS)
    lower(body, "n", 2)
    if path in BOUNDS:
        body.setdefault(BOUNDS[path], body.get("max_completion_tokens", MAX_TOKENS))
    elif path in OPTIONS and isinstance(body.setdefault("options", {}), dict):
        body["options"] = {**body["options"], "num_predict": MAX_TOKENS}
    return body


def ask(case, findings, base):
    """Sends a request and checks its answer against the document."""
    response = case.call(base_url=base, timeout=120)
    findings.answered(case.operation, response.status_code)
    try:
        case.validate_response(response, checks=CHECKS)
    except (Failure, FailureGroup) as error:
        wrong = error.exceptions if isinstance(error, FailureGroup) else [error]
        for failure in wrong:
            text = f"{failure.title}: {failure.message}"
            findings.add(case.operation, text, f"{case.as_curl_command()}\n{response.text[:400]}")
    return response


def parts(response, kind):
    """The JSON texts of a stream."""
    lines = response.text.splitlines()
    if kind == LINES:
        return lines
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [part for part in data if part != DONE]


def check_stream(response, operation, document, findings):
    """Every part of a stream is as the document says."""
    kind = response.headers.get("content-type", [""])[0]
    if kind not in STREAMS:
        return
    item = operation.definition.raw["responses"]["200"]["content"][kind]["schema"]
    if kind == EVENTS:
        data = item["properties"]["data"]
        item = data.get("anyOf", [data])[-1]["contentSchema"]
    schema = {**item, "components": document["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    if not parts(response, kind):
        findings.add(operation, "a stream without parts", response.text)
    for part in parts(response, kind):
        error = jsonschema.exceptions.best_match(validator.iter_errors(json.loads(part)))
        if error is not None:
            findings.add(operation, f"part of a stream: {error.message}"[:400], part)


def told(known, operation, name):
    """What earlier answers have told of a part of a path."""
    places = (value for (route, part), value in known.items() if operation.path.startswith(route) and part == name)
    return next(places, None)


def send_examples(operations, document, findings, base):
    """Sends every example; what answers tell of ids is what later requests ask for."""
    known = {}
    for operation in operations:
        definition = operation.definition.raw
        parameters = definition.get("parameters", [])
        path = {it["name"]: it.get("example", "none") for it in parameters if it["in"] == "path"}
        path = {name: told(known, operation, name) or it for name, it in path.items()}
        if "file" in path:
            path["file"] = parameters[0]["schema"]["enum"][0]
        content = definition.get("requestBody", {}).get("content", {}).get("application/json", {})
        bodies = [example["value"] for example in content.get("examples", {}).values()]
        for body in bodies or [None]:
            fields = {} if body is None else {"body": body, "media_type": "application/json"}
            case = operation.Case(path_parameters=path, **fields)
            response = ask(case, findings, base)
            is_named = operation.definition.raw["operationId"] not in NAMES_NOTHING
            if response.status_code >= 400 and is_named and ("none" not in path.values()):
                findings.add(operation, f"an example is refused: {response.text}", json.dumps(body))
            check_stream(response, operation, document, findings)
            field, route, name = TOLD.get(operation.path, (None, None, None))
            if field and response.status_code == 200 and not (body or {}).get("stream"):
                known[route, name] = response.json()[field]
    return known


def trimmed(document, rng):
    """The same document with a few of the fields that bodies may have: most requests that say
    something in every field are refused for what two of them say together."""
    document = copy.deepcopy(document)
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        properties = schema.get("properties", {})
        kept = set(schema.get("required", []))
        for one in schema.get("anyOf", []):
            kept.update(one.get("required", []))
        others = sorted(set(properties) - kept)
        if len(others) > MAX_FIELDS:
            kept.update(rng.sample(others, MAX_FIELDS))
            schema["properties"] = {name: properties[name] for name in properties if name in kept}
    return document


def fuzz(operation, whole, mode, count, number, known, findings, base):
    """Generates requests of an operation; `whole` is the operation with all of its fields."""
    strategy = operation.as_strategy(generation_mode=mode)
    turns = itertools.count()

    @seed(number)
    @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(case=strategy)
    def run(case):
        case.body = bounded(case.body, operation.path)
        for name in case.path_parameters or {}:
            place = told(known, operation, name)
            # Every other request asks for something that is there.
            if place is not None and next(turns) % 2 == 0:
                case.path_parameters[name] = place
        case.operation = whole
        ask(case, findings, base)

    run()


def generate(schema, operations, arguments, known, findings):
    """Generates requests of all operations, each round with other fields."""
    base = arguments.url.rstrip("/")
    rng = random.Random(arguments.seed)
    wholes = {operation.label: operation for operation in operations}
    modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
    before = findings.answers.total()
    for number in itertools.count():
        part = schemathesis.openapi.from_dict(trimmed(schema.raw_schema, rng))
        for result in part.get_all_operations():
            operation = result.ok()
            # The document itself is left out where it is read from the server.
            if operation.label not in wholes:
                continue
            # A route that takes no body has little to be asked, and nothing to be wrong about.
            is_rich = "requestBody" in operation.definition.raw
            for mode in modes if is_rich else modes[:1] if number == 0 else []:
                if findings.answers.total() - before >= arguments.requests:
                    return
                try:
                    whole = wholes[operation.label]
                    number_of_it = rng.randrange(1 << 30)
                    fuzz(operation, whole, mode, ROUND, number_of_it, known, findings, base)
                except (InvalidSchema, Unsatisfiable):
                    # Nothing of it can be wrong, or nothing that could be generated.
                    findings.answers["not generated"] += 1


def main():
    """Runs all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=300, help="generated requests, about")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--document", help="a file instead of the server's own document")
    arguments = parser.parse_args()
    base = arguments.url.rstrip("/")
    if arguments.document:
        schema = schemathesis.openapi.from_path(arguments.document)
    else:
        schema = schemathesis.openapi.from_url(f"{base}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    operations.sort(key=lambda it: ("{" in it.path, ORDER.index(it.method), it.path))
    findings = Findings()
    start = time.monotonic()
    known = send_examples(operations, schema.raw_schema, findings, base)
    print(f"examples: {dict(findings.answers)}, {time.monotonic() - start:.1f} s")
    generate(schema, operations, arguments, known, findings)
    print(f"answers: {dict(findings.answers)}, {time.monotonic() - start:.1f} s")
    for operation in operations:
        if operation.label not in findings.succeeded and operation.definition.raw["operationId"] not in NAMES_NOTHING:
            findings.add(operation, "never answered with a success", "")
    for (label, _), (what, request) in list(findings.found.items())[:MAX_SHOWN]:
        print(f"FAILED  {label}\n    {what}\n    {request}")
    print(f"{len(findings.found)} findings")
    sys.exit(1 if findings.found else 0)


if __name__ == "__main__":
    main()
