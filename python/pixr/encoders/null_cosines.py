"""Estimates how much confidence a cosine of two texts deserves, for models on which nothing was fitted.

The cosines of sentences that have nothing in common have a mean m and a deviation s: 0.04 and 0.07 with MiniLM, far
higher and closer together with models that were trained at a low temperature. A cosine means something by how far it
lies above those. The logistic has its centre at m + 6.75 s and a slope of 0.7 / s, which for MiniLM is the curve that
was fitted on it. For other models it is not fitted: it is good for order and for a threshold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pixr.encoders.protocol import TextEncoder

_CENTER_DEVIATIONS: Final = 6.75
_SLOPE_DEVIATIONS: Final = 0.7
_TOP: Final = 0.72
# No two of these are about the same thing.
_QUESTIONS: Final = (
    "how to bake sourdough bread", "the goalkeeper saves a penalty", "a violin concerto in a minor",
    "changing the tyre of a bicycle", "photosynthesis in desert plants", "the mayor opens a new bridge",
    "learning to knit socks", "a spacecraft lands on the moon", "interest rates and inflation",
    "my cat is afraid of thunder", "restoring an old wooden boat", "a recipe for pumpkin soup",
)  # fmt: skip
_DOCUMENTS: Final = (
    "Welcome back, today we look at the history of the steam engine.", "Please fasten your seat belts for landing.",
    "The defendant pleaded not guilty to all charges.", "You will need two screws and a spirit level.",
    "Whales sing to each other over hundreds of miles.", "The first train to Lyon leaves at six in the morning.",
    "She wrote her third novel in a lighthouse.", "Press the red button twice to reset the router.",
    "Vaccines train the immune system.", "He has been collecting stamps since his childhood.",
    "The chess champion sacrificed his queen.", "Rice terraces follow the slopes of the mountain.",
)  # fmt: skip


def calibrate_texts(encoder: TextEncoder) -> dict[str, Any]:
    """The curve for cosines of a question and a text, from the model's cosines of unrelated sentences."""
    import numpy as np

    questions, documents = encoder.encode_text(_QUESTIONS), encoder.encode_documents(_DOCUMENTS)
    cosines = np.einsum("qd,td->qt", questions, documents)
    mean, deviation = float(cosines.mean()), max(float(cosines.std()), 1e-3)
    center = min(mean + _CENTER_DEVIATIONS * deviation, 0.999)
    return {"center": center, "slope": _SLOPE_DEVIATIONS / deviation, "top": _TOP}
