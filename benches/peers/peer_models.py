"""The models that are compared, and the files in which both programs read the same weights."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
EMBEDDED = "pebble-20m"
RANDOM = ["smollm2-135m", "qwen3-0.6b"]
MODELS = [EMBEDDED, *RANDOM]
# Written from the checkpoint; every other format is quantised from one of them.
CONVERTED = ["bf16", "f32"]
FORMATS = ["bf16", "q8_0", "q4_k_m"]


@dataclass(frozen=True)
class ModelFiles:
    """A model in one format of its weights."""

    models: Path
    name: str
    format: str

    @property
    def folder(self) -> Path:
        """The checkpoint."""
        embedded = ROOT / "models" / "embedded" / EMBEDDED
        return embedded if self.name == EMBEDDED else self.models / self.name

    @property
    def gguf(self) -> Path:
        """What llama.cpp loads."""
        return self.models / f"{self.name}-{self.format}.gguf"

    @property
    def ours(self) -> Path:
        """What Purser loads: the checkpoint, or the same quantised file."""
        return self.folder if self.format in CONVERTED else self.gguf

    @property
    def dtype(self) -> str:
        """Purser's element type of the weights."""
        return self.format if self.format in CONVERTED else "auto"

    def config(self) -> dict:
        return json.loads((self.folder / "config.json").read_text())

    def make(self) -> None:
        """Makes the files that are not there."""
        if not (self.folder / "model.safetensors").exists():
            run("random_model.py", self.name, self.folder)
        if self.gguf.exists():
            return
        if self.format in CONVERTED:
            run("convert.py", self.folder, self.format, self.gguf)
            return
        # The embedded model is compared for accuracy: against f32, so it starts there.
        source = ModelFiles(self.models, self.name, "f32" if self.name == EMBEDDED else "bf16")
        source.make()
        run("quantize.py", source.gguf, self.format, self.gguf)


def run(script: str, *arguments: object) -> None:
    command = [sys.executable, HERE / script, *arguments]
    print(" ".join([script, *map(str, arguments)]), file=sys.stderr, flush=True)
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode != 0:
        raise SystemExit(f"{finished.stderr}\n{script} failed")
