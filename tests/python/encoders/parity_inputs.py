"""What the parity fixtures were recorded with: texts, pictures and sounds, the same for every model.

`models/build_parity.py` reads this file too, so it needs numpy and Pillow alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

ARCHIVE: Final = Path(__file__).parent / "parity.zip"
TEXTS: Final = (
    "",
    "a dog",
    "A Dog, on the BEACH!",
    "  two   spaces\tand a\nline ",
    "Grüße aus Köln; 東京タワー",
    "🐶🏖️ emoji 👩‍🚀",
    "snake_case &amp; <b>html</b> 'quoted'",
    "a very long story about a dog that ran along the beach and never came back, " * 40,
)
# Odd sizes, wider than high and higher, smaller than what a model sees, grey, with alpha, turned by EXIF.
PICTURES: Final = ("wide.png", "high.png", "tiny.png", "grey.png", "alpha.png", "turned.jpg")
SOUND_SECONDS: Final = (0.37, 3.0, 10.0, 10.004, 13.21)


def sound(seconds: float, rate_hz: int = 48_000) -> NDArray[np.float32]:
    """A rising tone, a beat and some noise: the same samples everywhere."""
    at = np.arange(int(seconds * rate_hz)) / rate_hz
    tone = 0.3 * np.sin(2 * np.pi * (220 * at + 60 * at**2))
    beat = 0.2 * (np.sin(2 * np.pi * 2 * at) > 0.9) * np.sin(2 * np.pi * 3000 * at)
    noise = 0.05 * (np.modf(np.sin(np.arange(len(at)) * 12.9898) * 43758.5453)[0])
    samples: NDArray[np.float32] = (tone + beat + noise).astype(np.float32)
    return samples


def write_pictures(folder: Path) -> None:
    """Make the picture files."""
    from PIL import Image

    def drawn(width: int, height: int) -> NDArray[np.uint8]:
        rows, columns = np.mgrid[0:height, 0:width]
        waves = [127 + 127 * np.sin(columns / 5 + phase) * np.cos(rows / (3 + phase)) for phase in (0, 1, 2)]
        return np.stack(waves, axis=2).astype(np.uint8)

    Image.fromarray(drawn(101, 67)).save(folder / "wide.png")
    Image.fromarray(drawn(45, 90)).save(folder / "high.png")
    Image.fromarray(drawn(13, 11)).save(folder / "tiny.png")
    Image.fromarray(drawn(50, 41)).convert("L").save(folder / "grey.png")
    alpha = np.dstack([drawn(64, 47), np.tile(np.linspace(0, 255, 64), (47, 1)).astype(np.uint8)])
    Image.fromarray(alpha).save(folder / "alpha.png")
    turned = Image.fromarray(drawn(71, 40))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(folder / "turned.jpg", exif=exif, quality=90)
