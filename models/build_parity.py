#!/usr/bin/env python3
"""Build small models of random weights from the reference classes, export them, and record what the references say.

    python -m venv refenv && refenv/bin/pip install torch transformers open_clip_torch sentence-transformers \
        onnx onnxscript onnxruntime sentencepiece pillow
    refenv/bin/python models/build_parity.py          # writes tests/python/encoders/parity.zip

One folder a model, in the layout in which its family is published, with `expected.npz`: the references' vectors,
brought to length one, of the texts, pictures and sounds of `tests/python/encoders/parity_inputs.py`. The references
decode and prepare pictures and tokenize texts themselves; nothing of Pixr is imported. Recorded with torch
2.15.0, transformers 5.23.0, open_clip 3.3.0, sentence-transformers 6.2.0.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import torch
from parity.clap import clap
from parity.clip import clip
from parity.jina_clip import jina_clip
from parity.open_clip_models import open_clip_model, open_siglip_model
from parity.recording import OUT, parity_inputs, prune
from parity.sentences import sentences
from parity.siglip import siglip, siglip2

# In this order: they draw from one generator of random numbers.
FAMILIES = (clip, siglip, siglip2, open_clip_model, open_siglip_model, jina_clip, clap, sentences)


def main() -> None:
    parity_inputs.write_pictures(OUT)
    torch.manual_seed(7)
    for build in FAMILIES:
        build()
        print(build.__name__)
    prune(OUT)
    pack(OUT, parity_inputs.ARCHIVE)
    shutil.rmtree(OUT)
    print(parity_inputs.ARCHIVE, parity_inputs.ARCHIVE.stat().st_size // 1024, "KB")


def pack(folder: Path, archive: Path) -> None:
    """One file, the same bytes for the same content."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(str(path.relative_to(folder)), (1980, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_LZMA
                file.writestr(entry, path.read_bytes())


if __name__ == "__main__":
    main()
