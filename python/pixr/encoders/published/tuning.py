"""Chooses threads and batch size by measuring for a second or two on this machine, and remembers them.

The number of threads is the best one for a single text or picture, because that is what a query waits for. The batch
size is the one with the least time for each row. A larger setting must win by a tenth; otherwise the smaller one leaves
more for others. Results are kept by model, providers, processor count and onnxruntime's version, in `tuning.json` of
the cache.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pixr.encoders.cache import cache_folder, write_atomically
from pixr.encoders.onnx import import_onnxruntime

if TYPE_CHECKING:
    from pixr.encoders.protocol import EncoderOptions
    from pixr.encoders.published.description import Description
    from pixr.encoders.published.encoders import SentenceEncoder

_FILE_NAME: Final = "tuning.json"
_BATCH_SIZES: Final = (1, 4, 8, 16)
_MUST_WIN_BY: Final = 0.9
_CLEARLY_SLOWER: Final = 1.3
_SECONDS_A_SETTING: Final = 0.25
_MOST_RUNS: Final = 12


def tuned(description: Description, version: str, options: EncoderOptions) -> tuple[int, int]:
    """Threads and batch size for a model, measured unless they are remembered.

    Raises what loading the model does.
    """
    cores = os.cpu_count() or 1
    runtime = import_onnxruntime().__version__
    key = f"{description.name}@{version}|{','.join(options.providers)}|{cores}|{options.threads}|{runtime}"
    store = cache_folder() / _FILE_NAME
    known = _read(store)
    if key not in known:
        known[key] = _measure(description, version, options, cores)
        write_atomically(store, json.dumps(known, indent=1))
    threads, batch_size = known[key]
    return threads, batch_size


def _measure(description: Description, version: str, options: EncoderOptions, cores: int) -> tuple[int, int]:
    from pixr.encoders.published.encoders import make_encoder

    choices = [options.threads] if options.threads is not None else sorted({1, max(1, cores // 2), cores})
    largest = options.batch_size or _BATCH_SIZES[-1]

    def runner(threads: int) -> Callable[[int], float]:
        made = make_encoder(description, version, replace(options, threads=threads, batch_size=largest))
        return lambda count: _time(_call(made, count)) / count

    threads = least({choice: runner(choice)(1) for choice in choices})
    if options.batch_size is not None:
        return threads, options.batch_size
    seconds_a_row, times = runner(threads), dict[int, float]()
    for size in _BATCH_SIZES:
        times[size] = seconds_a_row(size)
        if times[size] > _CLEARLY_SLOWER * min(times.values()):  # larger sizes will not be faster again
            break
    return threads, least(times)


def least(seconds: dict[int, float]) -> int:
    """The setting with the least time, a larger one only if it wins by a tenth over the best smaller one."""
    chosen, *rest = sorted(seconds)
    for setting in rest:
        if seconds[setting] < _MUST_WIN_BY * seconds[chosen]:
            chosen = setting
    return chosen


def _call(encoder: SentenceEncoder, count: int) -> Callable[[], object]:
    """A function that calls the model with `count` rows."""
    import numpy as np

    from pixr.encoders.published.encoders import PictureTextEncoder, SoundTextEncoder

    if isinstance(encoder, PictureTextEncoder) and encoder.description.picture is not None:
        recipe = encoder.description.picture
        picture = np.zeros((recipe.height, recipe.width, 3), np.uint8)
        return lambda: encoder.encode_images([picture] * count)
    if isinstance(encoder, SoundTextEncoder):
        sound = np.zeros(int(encoder.sample_rate_hz * encoder.window_seconds), np.float32)
        return lambda: encoder.encode_sounds([sound] * count)
    numbers = iter(range(1 << 30))  # a text that was encoded before is remembered
    return lambda: encoder.encode_text([f"a dog on the beach, number {next(numbers)}" for _ in range(count)])


def _time(run: Callable[[], object]) -> float:
    """The seconds of the fastest of a few runs."""
    run()
    times: list[float] = []
    until = time.perf_counter() + _SECONDS_A_SETTING
    while len(times) < 2 or (time.perf_counter() < until and len(times) < _MOST_RUNS):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return min(times)


def _read(path: os.PathLike[str]) -> dict[str, tuple[int, int]]:
    try:
        with open(path, encoding="utf8") as file:
            values = json.load(file)
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {
        key: (int(pair[0]), int(pair[1])) for key, pair in values.items() if isinstance(pair, list) and len(pair) == 2
    }
