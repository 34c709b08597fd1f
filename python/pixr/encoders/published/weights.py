"""Which of the files that hold the same weights in other precisions is the right one for this machine.

With a GPU half precision is as good and twice as fast. On a processor full precision is, unless it would fill more than
a quarter of the memory; eight-bit weights come next, those made for this processor first. Half precision is last there:
it is converted at every call.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pixr.encoders.protocol import PRECISIONS
from pixr.errors import ModelNotFound

# Suffixes of file names, by precision; where there are several the first that fits the processor is taken.
_SUFFIXES: Final[dict[str, tuple[str, ...]]] = {
    "fp32": ("", "_fp32", "_O3", "_O2", "_O1"),
    "fp16": ("_fp16", "_O4"),
    "int8": ("_int8", "_quantized", "_uint8", "_qint8_avx512_vnni", "_qint8_avx512", "_quint8_avx2", "_qint8_arm64"),
    "q4": ("_q4", "_bnb4"),
    "q4f16": ("_q4f16",),
}
# What a suffix needs of the processor, as /proc/cpuinfo spells it.
_NEEDS: Final = {
    "_qint8_avx512_vnni": "avx512_vnni",
    "_qint8_avx512": "avx512f",
    "_quint8_avx2": "avx2",
    "_qint8_arm64": "asimddp",
}
_ORDER_CPU: Final = ("fp32", "int8", "q4", "fp16", "q4f16")
_ORDER_GPU: Final = ("fp16", "fp32", "q4f16", "int8", "q4")


def choose_weights(
    folders: Sequence[Path], stems: Sequence[str], precision: str = "auto", *, gpu: bool = False
) -> tuple[Path, str] | None:
    """Find the file and its precision; None where no folder holds any of the stems.

    Args:
        folders: where to look, the best first.
        stems: names without suffix, such as "text_model"; the first that is there counts.
        precision: "auto", or one of `PRECISIONS`, which must be there.
        gpu: whether the model runs on one.

    Raises:
        ModelNotFound: the precision asked for is not among the files; names those that are.
    """
    for folder in folders:
        for stem in stems:
            found = _variants(folder, stem)
            if not found:
                continue
            if precision != "auto":
                if precision not in found:
                    here = ", ".join(path.name for path in found.values())
                    raise ModelNotFound(f"no {precision} file of {stem} in {folder}; here are {here}")
                return found[precision], precision
            order = _ORDER_GPU if gpu else _ORDER_CPU
            usable = [name for name in order if name in found]
            small = [name for name in usable if _byte_len(found[name]) <= _memory_byte_len() // 4]
            chosen = (small or sorted(usable, key=lambda name: _byte_len(found[name])))[0]
            return found[chosen], chosen
    return None


def external_data(path: Path) -> list[Path]:
    """Files of weights that a large ONNX file keeps beside itself, by the names in use."""
    candidates = (path.with_name(path.name + "_data"), path.with_name(path.name + ".data"))
    return [candidate for candidate in candidates if candidate.is_file()]


def _variants(folder: Path, stem: str) -> dict[str, Path]:
    flags = _processor_flags()
    found: dict[str, Path] = {}
    for precision in PRECISIONS:
        # A file made for another processor is better than none, but only after all that fit.
        suffixes = sorted(_SUFFIXES[precision], key=lambda suffix: suffix in _NEEDS and _NEEDS[suffix] not in flags)
        for suffix in suffixes:
            path = folder / f"{stem}{suffix}.onnx"
            if path.is_file():
                found[precision] = path
                break
    return found


def _byte_len(path: Path) -> int:
    return sum(part.stat().st_size for part in (path, *external_data(path)))


def _memory_byte_len() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # not a Unix: assume a small machine
        return 8 << 30


def _processor_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf8", errors="replace")
    except OSError:
        return frozenset()
    lines = (line for line in text.splitlines() if line.startswith(("flags", "Features")))
    return frozenset(next(lines, "").partition(":")[2].split())
