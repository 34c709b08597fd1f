"""What files don't say: how each family of models was trained. A new family is one more row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pixr.encoders.published.description import Cleaning, Padding, Pooling


@dataclass(frozen=True)
class Family:
    """One family of models.

    Attributes:
        padding: how texts are padded.
        cleaning: how texts are cleaned, if the tokenizer's file doesn't do it.
        pooling: how token vectors are pooled, if the model's output isn't and no file says how.
        reserved_positions: position embeddings that no token uses (RoBERTa counts from its padding).
        prior: a calibration for the family, from what its authors publish. It is good for order and for a threshold,
            but it was not fitted to the model at hand.
    """

    padding: Padding = "longest"
    cleaning: Cleaning = "none"
    pooling: Pooling = "none"
    reserved_positions: int = 0
    prior: dict[str, Any] | None = None


# CLIP's cosines of a picture with its own caption lie about 0.2 to 0.35 whatever its size, those with another's below.
_CLIP_PRIOR = {"vector": {"center": 0.25, "slope": 40.0, "top": 0.75}, "floor": 0.01, "sufficient": 0.3,
               "alike": {"center": 0.75, "slope": 14.0, "top": 0.98}}  # fmt: skip
# SigLIP is trained with a sigmoid of its own: scale 117.3 and bias -12.9 of the published base model, so the curve is
# the model's. Captions of one's own rarely go far above one half, so less is enough.
_SIGLIP_PRIOR = {"vector": {"center": 0.11, "slope": 117.3, "top": 0.9}, "floor": 0.0005, "sufficient": 0.05,
                 "alike": {"center": 0.8, "slope": 14.0, "top": 0.98}}  # fmt: skip
_CLAP_PRIOR = {"vector": {"center": 0.3, "slope": 14.0, "top": 0.75}, "floor": 0.01, "sufficient": 0.35,
               "alike": {"center": 0.8, "slope": 14.0, "top": 0.98}}  # fmt: skip

FAMILIES: dict[str, Family] = {
    "clip": Family(prior=_CLIP_PRIOR),
    # Trained without a mask on texts of full length, so a shorter row would be another text to it.
    "siglip": Family(padding="full", cleaning="lower_punctuation", prior=_SIGLIP_PRIOR),
    "siglip2": Family(padding="full", cleaning="lower", prior=_SIGLIP_PRIOR),
    "jina_clip": Family(prior=_CLIP_PRIOR),
    "open_clip": Family(padding="full", cleaning="whitespace", prior=_CLIP_PRIOR),
    "open_siglip": Family(padding="full", cleaning="canonical", prior=_SIGLIP_PRIOR),
    "clap": Family(reserved_positions=2, prior=_CLAP_PRIOR),
    # A transformer without a pooling file is averaged, as sentence-transformers does.
    "sentence": Family(pooling="mean"),
}
# `model_type` of config.json → family. Any other model that encodes only texts is "sentence".
MODEL_TYPES = {
    "clip": "clip",
    "siglip": "siglip",
    "siglip2": "siglip2",
    "jina_clip": "jina_clip",
    "clap": "clap",
}
# Text models whose positions are counted from their padding token.
POSITIONS_FROM_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet")
