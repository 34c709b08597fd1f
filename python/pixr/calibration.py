"""Prepares a library for what its encoders write: the space of each channel, and how sure a raw score makes us.

The parameters were fitted by `models/fit_calibration.py` and lie beside the models in `calibration.json`, each with the
space that it belongs to. A library keeps its own copy, so that a later version changes no score in it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pixr.types import Channel

if TYPE_CHECKING:
    from pixr import _engine
    from pixr.encoders.load import Encoders
    from pixr.encoders.protocol import Space

FILE_NAME = "calibration.json"


def prepare(engine: _engine.Library, encoders: Encoders) -> None:
    """Set spaces, and calibrations where the library has none yet.

    Raises:
        SpaceMismatch: the library holds vectors of another encoder; the message names both.
    """
    for channel, encoder in encoders.by_channel.items():
        engine.set_space(channel, encoder.space.name, encoder.space.version, encoder.space.dimension)
    known = json.loads(engine.settings())["calibrations"]
    for channel, calibration in for_encoders(encoders).items():
        if channel not in known:
            engine.set_calibration(channel, json.dumps(calibration))


def for_encoders(encoders: Encoders) -> dict[Channel, dict[str, Any]]:
    """The calibration of each channel: the fitted one if it was fitted on the channel's space, else a substitute."""
    spaces = {channel: encoder.space for channel, encoder in encoders.by_channel.items()}
    return fitted(spaces) | _priors(spaces, encoders)


def _priors(spaces: dict[Channel, Space], encoders: Encoders) -> dict[Channel, dict[str, Any]]:
    """Substitutes for spaces on which nothing was fitted, made from the model's family or from its own cosines."""
    from pixr.encoders.null_cosines import calibrate_texts
    from pixr.encoders.published import SentenceEncoder

    priors: dict[Channel, dict[str, Any]] = {}
    published = {channel: one for channel, one in encoders.by_channel.items() if isinstance(one, SentenceEncoder)}
    for channel, encoder in published.items():
        if encoder.prior_calibration is not None:
            priors[channel] = encoder.prior_calibration
    if "speech" in published:
        curve = calibrate_texts(published["speech"])
        without = fitted(spaces)
        priors |= {channel: without[channel] | {"vector": curve} for channel in ("metadata", "speech")}
    return priors


def fitted(spaces: dict[Channel, Space]) -> dict[Channel, dict[str, Any]]:
    """The fitted calibration of each channel, without the curves for vectors if they were fitted on another space."""
    from pixr.encoders.registry import EMBEDDED

    table: dict[str, Any] = json.loads((EMBEDDED / FILE_NAME).read_text(encoding="utf8"))
    chosen: dict[Channel, dict[str, Any]] = {}
    for channel, entry in table["channels"].items():
        calibration = dict(entry["calibration"])
        space = spaces.get(channel)
        if space is None or entry.get("space") != str(space):
            calibration.pop("vector", None)
            calibration.pop("alike", None)
            if "space" in entry:  # reported confidences were fitted to these curves
                calibration.pop("reported", None)
                calibration.pop("alike_reported", None)
        chosen[channel] = calibration
    return chosen
