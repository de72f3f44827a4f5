#!/usr/bin/env python3
"""Quantises a GGUF file with llama.cpp's own function, as `llama-quantize` does.

    python3 quantize.py SOURCE.gguf q8_0|q4_k_m|... TARGET.gguf

Rows whose length is no multiple of a K-quant's 256 elements fall back to another format by
llama.cpp's rules; both programs that are compared then load that same file.
"""

import argparse
import os
from pathlib import Path

import llama_cpp

FILE_TYPES = {
    "f16": llama_cpp.LLAMA_FTYPE_MOSTLY_F16,
    "q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
    "q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0,
    "q4_k_m": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "q5_k_m": llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_K_M,
    "q6_k": llama_cpp.LLAMA_FTYPE_MOSTLY_Q6_K,
}


def quantize(source: Path, file_type: str, target: Path) -> None:
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = FILE_TYPES[file_type]
    params.nthread = os.cpu_count()
    # A file that is cut short would be taken for a whole one the next time.
    unfinished = target.with_suffix(".unfinished")
    status = llama_cpp.llama_model_quantize(bytes(source), bytes(unfinished), params)
    if status != 0:
        raise SystemExit(f"llama.cpp cannot quantise {source} to {file_type}")
    unfinished.rename(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("file_type", choices=FILE_TYPES)
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    quantize(args.source, args.file_type, args.target)


if __name__ == "__main__":
    main()
