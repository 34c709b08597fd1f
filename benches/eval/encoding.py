"""How much of bare onnxruntime the embedded encoders keep: pictures and texts, beside the same batches run bare.

    python -m benches.eval.encoding [--seconds 20]

Bare: `InferenceSession.run` on inputs that are ready. Encoding: from the pictures as they are decoded (240 by 320, as
those of `../shared/eval`, and 480 by 640) and from sentences, with everything around: resizing, tokenising, padding,
pooling. Both take turns, a round each, in one process on one thread a call, as when indexing; processor time counts, so
other work on the machine does little to it, and the ratio is that of the medians. Pictures are noise and sentences are
made of a list of words: neither changes what the networks cost.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from pixr.encoders import EncoderOptions, default_encoders
from pixr.encoders.concepts import preprocess

SIZES = ((240, 320), (480, 640))
WORDS = ("boat", "river", "near", "old", "stone", "house", "red", "door", "morning", "light", "summer", "garden")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    encoders = default_encoders(EncoderOptions(threads=1))
    lot = np.random.default_rng(1)
    visual: Any = encoders.visual
    batch = visual._options.rows_a_call
    session = visual._model._session
    for height, width in SIZES:
        pictures = [lot.integers(0, 256, (height, width, 3), np.uint8) for _ in range(batch)]
        ready = preprocess(pictures)
        compare(
            f"pictures of {height} by {width}, {batch} a call",
            partial(session.run, None, {"x": ready}),
            partial(visual.encode_images, pictures),
            given.seconds,
        )
    text: Any = encoders.text
    batch = text._options.rows_a_call
    rounds = 0

    def sentences() -> list[str]:
        nonlocal rounds
        rounds += 1  # so that none is remembered
        return [" ".join([f"{rounds}-{at}", *lot.permutation(WORDS)]) for at in range(batch)]

    ids = np.zeros((batch, max(len(one.ids) for one in text._tokenizer.encode_batch(sentences()))), np.int64)
    feeds = {"input_ids": ids + 2000, "attention_mask": ids + 1, "token_type_ids": ids}
    bare = text._model._session
    compare(
        f"sentences, {batch} a call",
        lambda: bare.run(None, feeds),
        lambda: text.encode_text(sentences()),
        given.seconds,
    )


def compare(name: str, bare: Callable[[], Any], encode: Callable[[], Any], seconds: float) -> None:
    """Take turns for so long, and print both and their ratio."""
    took: dict[str, list[float]] = {"bare": [], "encode": []}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for which, call in (("bare", bare), ("encode", encode)):
            began = time.thread_time()
            call()
            took[which].append(time.thread_time() - began)
    one, other = median(took["bare"]), median(took["encode"])
    kept, rounds = one / other, len(took["bare"])
    print(
        f"{name}: bare {one * 1e3:.1f} ms, encoding {other * 1e3:.1f} ms, kept {kept:.3f} (median of {rounds} rounds)"
    )


if __name__ == "__main__":
    main()
