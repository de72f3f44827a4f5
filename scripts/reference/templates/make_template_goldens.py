"""Renders the fixtures' chat templates with transformers and stores what comes out.

    python make_template_goldens.py [--pebble models/embedded/pebble-20m]

Writes crates/text/tests/goldens/chat/: `conversations.json`, one file per template with what
`apply_chat_template` makes of every conversation, and `expressions.json`. The clock stands still.
"""

import argparse
import datetime
import json
import pathlib

import jinja2
import transformers.utils.chat_template_utils as chat_template_utils
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from conversations import CASES
from expressions import CONTEXT, EXPRESSIONS

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
OUT = ROOT / "crates/text/tests/goldens/chat"
NOW = datetime.datetime(2025, 3, 7, 9, 5, 2, 123456)
SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


class StoppedClock(datetime.datetime):
    """A clock that always says the same."""

    @classmethod
    def now(cls, tz=None):
        return NOW


def rendered(render):
    """The text, or how rendering failed: by the template's own will, or otherwise."""
    try:
        return {"text": render()}
    except jinja2.exceptions.TemplateSyntaxError as error:
        return {"syntax_error": {"line": error.lineno}}
    except jinja2.exceptions.TemplateError as error:
        # raise_exception raises TemplateError itself; the others are subclasses of it.
        if type(error) is jinja2.exceptions.TemplateError:
            return {"raised": str(error)}
        return {"error": type(error).__name__}
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        return {"error": type(error).__name__}


def render_family(template, special_tokens):
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>")),
        chat_template=template, **special_tokens)
    results = {}
    for name, case in CASES.items():
        options = {key: value for key, value in case.items() if key != "messages"}
        results[name] = rendered(lambda: tokenizer.apply_chat_template(
            case["messages"], tokenize=False, **options))
    return {"template": template, "special_tokens": special_tokens, "results": results}


def render_expression(source):
    compiled = chat_template_utils._compile_jinja_template
    return rendered(lambda: compiled(source).render(**CONTEXT))


def write(name, value):
    text = json.dumps(value, ensure_ascii=False, indent=1)
    (OUT / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pebble", type=pathlib.Path, default=ROOT / "models/embedded/pebble-20m",
                        help="folder of the embedded model")
    args = parser.parse_args()
    chat_template_utils.datetime = StoppedClock
    OUT.mkdir(parents=True, exist_ok=True)

    write("conversations", {"now": NOW.isoformat(), "cases": CASES})
    expressions = [[source, render_expression(source)] for source in EXPRESSIONS]
    write("expressions", {"context": CONTEXT, "expressions": expressions})
    for path in sorted((HERE / "families").glob("*.jinja")):
        template = path.read_text(encoding="utf-8").removesuffix("\n")
        write(f"family_{path.stem}", render_family(template, SPECIAL_TOKENS))
    config = json.loads((args.pebble / "tokenizer_config.json").read_text(encoding="utf-8"))
    special_tokens = {key: config[key] for key in ("eos_token", "pad_token")}
    write("family_pebble", render_family(config["chat_template"], special_tokens))


if __name__ == "__main__":
    main()
