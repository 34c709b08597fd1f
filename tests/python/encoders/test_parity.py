"""Published models give their authors' numbers: small models of every family, recorded by `models/build_parity.py`."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from pixr.encoders import EncoderOptions, ImageEncoder, SoundEncoder, TextEncoder
from pixr.encoders.published import load_folder
from pixr.encoders.published.description import PictureRecipe
from pixr.encoders.published.pixels import preprocess
from pixr.media.pictures import load_picture
from tests.python.encoders.parity_inputs import PICTURES, SOUND_SECONDS, TEXTS, sound

OPTIONS = EncoderOptions(threads=1, batch_size=3)
MOST = 1e-4
PICTURE_MODELS = ("clip", "clip-one-file", "mobileclip", "siglip", "siglip2", "open-clip", "open-siglip", "jina-clip")
SOUND_MODELS = ("clap-unfused", "clap-fused")
SENTENCE_MODELS = ("sentence-mean", "sentence-cls", "sentence-last", "sentence-multilingual")


def difference(folder: Path, kind: str, got: NDArray[np.float32]) -> float:
    with np.load(folder / "expected.npz") as expected:
        reference = expected[kind]
    assert got.shape == reference.shape
    # A reference that gives every input the same vector would prove nothing.
    assert np.abs(reference - reference.mean(axis=0)).max() > 0.01
    return float(np.abs(got - reference).max())


@pytest.mark.parametrize("name", PICTURE_MODELS)
def test_pictures_and_words_have_the_references_vectors(recorded: Path, name: str) -> None:
    encoder = load_folder(recorded / name, OPTIONS)
    assert isinstance(encoder, ImageEncoder)
    assert difference(recorded / name, "texts", encoder.encode_text(TEXTS)) <= MOST
    pictures = [load_picture(recorded / picture) for picture in PICTURES]
    assert difference(recorded / name, "pictures", encoder.encode_images(pictures)) <= MOST


@pytest.mark.parametrize(
    ("size", "checksum"), [((90, 45), 2928384934), ((640, 360), 1204027628), ((360, 640), 1418462214)]
)
def test_pictures_have_the_same_pixels_with_every_pillow(size: tuple[int, int], checksum: int) -> None:
    """Pillow 13 takes the columns of some upright pictures first, and so rounds otherwise than Pillow 12.

    Python 3.10 has no Pillow 13, so two machines gave one picture two vectors of one space.
    """
    down, across = np.mgrid[: size[0], : size[1]]
    picture = np.stack([down * across % 251, (down * 7 + across * 13) % 256, down**2 % 253], -1).astype(np.uint8)
    recipe = PictureRecipe(Path("model.onnx"), 30, 30, resize="squash", scale=1.0)
    assert crc32(preprocess(picture, recipe).astype(np.uint8).tobytes()) == checksum


@pytest.mark.parametrize("name", SOUND_MODELS)
def test_sound_and_words_have_the_references_vectors(recorded: Path, name: str) -> None:
    encoder = load_folder(recorded / name, OPTIONS)
    assert isinstance(encoder, SoundEncoder)
    assert difference(recorded / name, "texts", encoder.encode_text(TEXTS)) <= MOST
    sounds = [sound(seconds) for seconds in SOUND_SECONDS]
    assert difference(recorded / name, "sounds", encoder.encode_sounds(sounds)) <= MOST


@pytest.mark.parametrize("name", SENTENCE_MODELS)
def test_sentences_have_the_references_vectors(recorded: Path, name: str) -> None:
    encoder = load_folder(recorded / name, OPTIONS)
    assert isinstance(encoder, TextEncoder)
    assert difference(recorded / name, "texts", encoder.encode_text(TEXTS)) <= MOST
    assert difference(recorded / name, "documents", encoder.encode_documents(TEXTS)) <= MOST


@pytest.mark.parametrize("name", [*PICTURE_MODELS, *SOUND_MODELS, *SENTENCE_MODELS])
def test_a_text_has_the_same_vector_beside_others_and_alone(recorded: Path, name: str) -> None:
    together = load_folder(recorded / name, OPTIONS).encode_text(TEXTS)
    encoder = load_folder(recorded / name, EncoderOptions(threads=1, batch_size=1))
    alone = np.stack([encoder.encode_text([text])[0] for text in TEXTS])
    assert np.abs(together - alone).max() <= 1e-5


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_other_precisions_stay_near_full_precision(recorded: Path, precision: str) -> None:
    exact = load_folder(recorded / "clip", OPTIONS)
    near = load_folder(recorded / "clip", EncoderOptions(threads=1, batch_size=3, precision=precision))
    assert near.description.precision == precision
    assert near.space != exact.space  # their vectors are not equal, so they are not compared
    cosines = (near.encode_text(TEXTS) * exact.encode_text(TEXTS)).sum(axis=1)
    assert cosines.min() >= {"fp16": 0.9999, "int8": 0.95}[precision]
