"""Prepares a library for what these encoders write: which space each channel holds, and how sure a raw score makes us.

The parameters were fitted by `models/fit_calibration.py` and lie beside the models in `calibration.json`, by the space
they belong to; the library keeps its own copy, so that a later version changes no score of an existing library.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pixr.types import Channel

if TYPE_CHECKING:
    from pixr import _engine
    from pixr.encoders.protocol import Space
    from pixr.encoders.registry import Encoders

FILE_NAME = "calibration.json"


def prepare(engine: _engine.Library, encoders: Encoders) -> None:
    """Set spaces, and calibrations where the library has none yet.

    Raises:
        SpaceMismatch: the library holds vectors of another encoder; the message names both.
    """
    spaces: dict[Channel, Space] = {
        "frame": encoders.visual.space,
        "metadata": encoders.text.space,
        "speech": encoders.text.space,
    }
    for channel, space in spaces.items():
        engine.set_space(channel, space.name, space.version, space.dimension)
    known = json.loads(engine.settings())["calibrations"]
    for channel, calibration in fitted(spaces).items():
        if channel not in known:
            engine.set_calibration(channel, json.dumps(calibration))


def fitted(spaces: dict[Channel, Space]) -> dict[Channel, dict[str, Any]]:
    """The fitted calibration of each channel, without the curve for vectors where it was fitted on another space."""
    from pixr.encoders.registry import EMBEDDED

    table: dict[str, Any] = json.loads((EMBEDDED / FILE_NAME).read_text(encoding="utf8"))
    chosen: dict[Channel, dict[str, Any]] = {}
    for channel, entry in table["channels"].items():
        calibration = dict(entry["calibration"])
        space = spaces.get(channel)
        if space is None or entry.get("space") != str(space):
            calibration.pop("vector", None)
            calibration.pop("alike", None)
        chosen[channel] = calibration
    return chosen
