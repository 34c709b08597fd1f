"""What a query costs: warm against the bare encoder call in the same run, repeated, and as a process."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pixr
from pixr.encoders.minilm import MODEL_FILE, TOKENIZER_FILE
from pixr.encoders.registry import EMBEDDED

ROUNDS = 300
WARM_UP, BLOCK = 50, 25
PAUSE_SECONDS = 0.1
PROCESS_ROUNDS = 7


def measure(library_path: Path, texts: Sequence[str], published: Path | None = None) -> dict[str, Any]:
    """All figures in milliseconds. `texts` are distinct queries, so that no cache can answer them.

    `published` is the text model as its authors give it, timed beside the embedded one, which `models/` makes of it.

    They are taken evenly from all that are given, which come by kind: the first few hundred would all be captions,
    three words that no channel but one knows.
    """
    everything = list(dict.fromkeys(texts))
    distinct = everything[:: max(1, len(everything) // (ROUNDS + WARM_UP))][: ROUNDS + WARM_UP]
    warm_up, timed = distinct[: min(WARM_UP, len(distinct) // 4)], distinct[min(WARM_UP, len(distinct) // 4) :]
    encode = _bare_encoder(EMBEDDED / MODEL_FILE)
    encode_published = _bare_encoder(published) if published else None
    with pixr.open(library_path, create=False, read_only=True) as library:
        for text in warm_up:
            encode(text)
            library.search(text)
            if encode_published:
                encode_published(text)
        bare, as_published, whole, inner, repeated = [], [], [], [], []
        # By turns, so that whatever else the machine does meets all; in blocks with a pause between, since the threads
        # of one onnxruntime session spin for a while after a call and would take the processors from the other's.
        for at in range(0, len(timed), BLOCK):
            block = timed[at : at + BLOCK]
            time.sleep(PAUSE_SECONDS)
            bare += [_milliseconds(encode, text) for text in block]
            time.sleep(PAUSE_SECONDS)
            if encode_published:
                as_published += [_milliseconds(encode_published, text) for text in block]
                time.sleep(PAUSE_SECONDS)
            for text in block:
                began = time.perf_counter()
                hits = library.search(text)
                whole.append((time.perf_counter() - began) * 1000)
                inner.append(hits.timing.search)
            time.sleep(PAUSE_SECONDS)
            repeated += [_milliseconds(library.search, text) for text in block]
    return {
        "queries": len(timed),
        "bare_encoder_ms": statistics.median(bare),
        "published_encoder_ms": statistics.median(as_published) if as_published else None,
        "warm_query_ms": statistics.median(whole),
        "ratio": statistics.median(whole) / statistics.median(bare),
        "ratio_paired": statistics.median(w / b for w, b in zip(whole, bare, strict=True)),
        "engine_ms": statistics.median(inner),
        "repeated_query_ms": statistics.median(repeated),
        "import_ms": _process([sys.executable, "-c", "import pixr"]) - _process([sys.executable, "-c", "pass"]),
        "loaded_by_import": _loaded_by_import(),
        "search_process_ms": _process(
            [str(Path(sys.executable).with_name("pixr")), "search", str(library_path), "a dog on the beach"]
        ),
    }


def _bare_encoder(model: Path) -> Callable[[str], Any]:
    """A text model with nothing around it: tokenizer, onnxruntime, mean, and that is all."""
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(EMBEDDED / TOKENIZER_FILE))
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    names = {given.name for given in session.get_inputs()}

    def encode(text: str) -> Any:
        encoded = tokenizer.encode(text)
        ids = np.array([encoded.ids], np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        return session.run(None, {name: feeds[name] for name in names})[0].mean(axis=1)

    return encode


def _milliseconds(call: Callable[[str], Any], text: str) -> float:
    began = time.perf_counter()
    call(text)
    return (time.perf_counter() - began) * 1000


def _process(command: Sequence[str]) -> float:
    """Median milliseconds of a command as a process, after one run that fills the disk cache."""
    took = []
    for _ in range(PROCESS_ROUNDS + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took[1:])


def _loaded_by_import() -> list[str]:
    """Media and model libraries that `import pixr` loads; none is the promise."""
    heavy = [
        "av",
        "cv2",
        "ctranslate2",
        "faster_whisper",
        "numpy",
        "onnxruntime",
        "PIL",
        "pyarrow",
        "rapidocr",
        "tokenizers",
    ]
    code = f"import sys, pixr; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.split()
