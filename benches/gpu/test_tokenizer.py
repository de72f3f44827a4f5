"""`python3 -m unittest discover benches/gpu`."""

import json
import tempfile
import unittest
from pathlib import Path

from tokenizer import byte_characters, tokenizer, write

SHAPES = sorted(Path(__file__).parent.glob("*-shape"))


class TokenizerTest(unittest.TestCase):
    def test_every_id_of_a_shape_is_one_token(self) -> None:
        self.assertEqual(len(SHAPES), 3)
        for shape in SHAPES:
            config = json.loads((shape / "config.json").read_text())
            with tempfile.TemporaryDirectory() as folder:
                write(config, Path(folder))
                made = json.loads((Path(folder) / "tokenizer.json").read_text())
            ids = [*made["model"]["vocab"].values(), *(t["id"] for t in made["added_tokens"])]
            self.assertEqual(sorted(ids), list(range(config["vocab_size"])), shape.name)

    def test_merges_are_made_of_earlier_tokens(self) -> None:
        vocab = tokenizer(60_000, {0: "<|begin|>", 59_999: "<|end|>"})
        known = set(byte_characters())
        for merge in vocab["model"]["merges"]:
            left, right = merge.split(" ")
            self.assertLessEqual({left, right}, known)
            known.add(left + right)
        self.assertEqual(known, set(vocab["model"]["vocab"]))

    def test_bytes_have_characters_of_their_own(self) -> None:
        characters = byte_characters()
        self.assertEqual(len(set(characters)), 256)
        self.assertEqual((characters[ord("A")], characters[ord(" ")]), ("A", "Ġ"))


if __name__ == "__main__":
    unittest.main()
