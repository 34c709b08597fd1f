"""The embedded picture encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pixr.encoders import EncoderOptions, Encoders
from pixr.encoders.concepts import (
    CLASSES,
    MODEL_FILE,
    OTHER_SHARE,
    QUERY_TEMPERATURE,
    TABLE_FILE,
    ConceptEncoder,
    preprocess,
)
from pixr.encoders.minilm import MiniLMEncoder
from pixr.encoders.onnx import OnnxModel
from pixr.encoders.registry import EMBEDDED
from pixr.errors import ModelError, SpaceMismatch

Pictures = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def visual(encoders: Encoders) -> ConceptEncoder:
    assert isinstance(encoders.visual, ConceptEncoder)
    return encoders.visual


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    rows: NDArray[np.float32] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return rows


def picture_of(visual: ConceptEncoder, *names: str) -> NDArray[np.float32]:
    """The vector of a picture that the classifier sees these concepts in, each as likely as the others."""
    probabilities = np.zeros((1, CLASSES), np.float32)
    for name in names:
        probabilities[0, visual._table.names.index(name)] = 1 / len(names)
    return visual._place(probabilities)


def test_picture_rows_are_float32_of_length_one(visual: ConceptEncoder, pictures: Pictures) -> None:
    rows = visual.encode_images(pictures)
    assert rows.dtype == np.float32
    assert rows.shape == (len(pictures), visual.space.dimension)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    assert not rows[:, -1].any()


def test_vectors_are_the_same_on_every_processor(visual: ConceptEncoder, encoders: Encoders) -> None:
    """Recorded with AVX-512 VNNI; with AVX2 alone they were up to 0.2 off before onnxruntime was told to be exact."""
    down, across = np.mgrid[:260, :260]
    slopes = np.stack([down * across // 260, (down + across) // 2, 255 - across * 255 // 260], -1) % 256
    squares = np.where((down // 26 + across // 26)[..., None] % 2, (250, 30, 20), (20, 200, 240))
    rows = visual.encode_images([slopes.astype(np.uint8), squares.astype(np.uint8)])
    np.testing.assert_allclose(rows[0, [818, 409, 782, 527]], [0.1810, 0.1605, 0.1374, 0.1255], atol=1e-3)
    np.testing.assert_allclose(rows[1, [916, 769, 549, 892]], [0.2271, 0.2089, 0.1797, 0.1746], atol=1e-3)
    words = encoders.text.encode_text(["a dog on the beach"])
    np.testing.assert_allclose(words[0, [0, 50, 200]], [-0.00225, -0.02128, 0.12776], atol=1e-4)


def test_no_pictures_give_no_rows(visual: ConceptEncoder) -> None:
    assert visual.encode_images([]).shape == (0, visual.space.dimension)
    assert visual.encode_text([]).shape == (0, visual.space.dimension)


def test_batch_result_equals_single_result(visual: ConceptEncoder, pictures: Pictures) -> None:
    together = visual.encode_images(pictures)
    alone = np.concatenate([visual.encode_images([picture]) for picture in pictures])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_a_picture_of_the_networks_size_is_given_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (260, 260, 3), dtype=np.uint8)
    pixels = preprocess([picture])
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, picture[None])


def test_preprocessing_shows_the_whole_picture() -> None:
    wide = np.zeros((100, 400, 3), np.uint8)
    wide[:, 380:] = 255
    assert (preprocess([wide])[:, :, -5:] > 240).all()


@pytest.mark.parametrize("size", [(480, 640), (240, 320), (270, 480), (100, 400), (33, 37), (1, 1)])
def test_pictures_are_resized_as_pillow_does(size: tuple[int, int]) -> None:
    """Vectors that Pillow's pictures got are compared with these."""
    lot = np.random.default_rng(size[0])
    picture = lot.integers(0, 256, (*size, 3), np.uint8)
    pixels = preprocess([picture])[0].astype(np.float32)
    expected = np.asarray(Image.fromarray(picture).resize((260, 260), Image.Resampling.BICUBIC), np.float32)
    differ = np.abs(pixels - expected)
    assert differ.max() <= 2  # a half is rounded to the other side here and there, twice
    assert (differ > 0.5).mean() < 0.02


def test_pictures_of_one_call_may_have_different_sizes() -> None:
    lot = np.random.default_rng(3)
    pictures = [lot.integers(0, 256, (*size, 3), np.uint8) for size in ((60, 80), (60, 50), (300, 20))]
    together = preprocess(pictures)
    for pixels, picture in zip(together, pictures, strict=True):
        np.testing.assert_array_equal(pixels, preprocess([picture])[0])


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(visual: ConceptEncoder, picture: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="uint8 of shape"):
        visual.encode_images([picture])


def test_one_pixel_is_a_picture(visual: ConceptEncoder) -> None:
    row = visual.encode_images([np.full((1, 1, 3), 200, np.uint8)])
    np.testing.assert_allclose(np.linalg.norm(row), 1.0, atol=1e-5)


def test_a_view_of_a_picture_is_that_picture(visual: ConceptEncoder, pictures: Pictures) -> None:
    mirrored = [picture[:, ::-1] for picture in pictures]
    assert not any(picture.flags.c_contiguous for picture in mirrored)
    copied = [np.ascontiguousarray(picture) for picture in mirrored]
    np.testing.assert_array_equal(visual.encode_images(mirrored), visual.encode_images(copied))


def test_vectors_give_the_classifier_probabilities_back(visual: ConceptEncoder, pictures: Pictures) -> None:
    model = OnnxModel(EMBEDDED / MODEL_FILE, EncoderOptions(threads=1), inputs=("x",))
    expected = softmax(model.run({"x": preprocess(pictures)}))
    half = visual.encode_images(pictures).astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(visual._probabilities(half), expected, atol=3e-3)


def table_rows(name: str) -> NDArray[np.float64]:
    """Rows of the concept table as the numbers that its levels stand for."""
    with np.load(EMBEDDED / TABLE_FILE) as table:
        rows: NDArray[np.float64] = table[name].astype(np.float64) * table[f"{name}_scales"][:, None]
    return rows


def test_text_rows_are_float32_of_length_one(visual: ConceptEncoder) -> None:
    rows = visual.encode_text(["a bird with a red head", "", "the third law of thermodynamics"])
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)


def test_text_rows_are_those_of_plain_arithmetic(visual: ConceptEncoder, encoders: Encoders) -> None:
    texts = ["a bird with a red head", "frozen dessert in a cone", "the third law of thermodynamics"]
    prototypes, query_map = table_rows("prototypes"), table_rows("query_map")
    closeness = encoders.text.encode_text(texts).astype(np.float64) @ prototypes.T
    wanted = softmax((closeness / QUERY_TEMPERATURE).astype(np.float32)).astype(np.float64) @ query_map.T
    rows = visual.encode_text(texts)[:, :CLASSES]
    expected = wanted / np.linalg.norm(wanted, axis=1, keepdims=True) * np.linalg.norm(rows, axis=1, keepdims=True)
    # Sentences and weights are rounded to 8,191 levels, and the temperature makes 25 times as much of what that is off.
    np.testing.assert_allclose(rows, expected, atol=5e-4)
    assert (np.einsum("tc,tc->t", rows, expected) > (1 - 1e-5) * np.einsum("tc,tc->t", expected, expected)).all()


def test_text_has_one_vector_whatever_is_beside_it_and_however_often(visual: ConceptEncoder) -> None:
    texts = ["a ladder on a roof", "rain", "a ladder on a roof"]
    first, other, again = visual.encode_text(texts)
    np.testing.assert_array_equal(first, again)
    first[:] = 0
    np.testing.assert_array_equal(visual.encode_text(texts[1:]), [other, again])


@pytest.mark.parametrize(
    ("query", "concept"),
    [
        ("small ape-like animal swinging in trees", "gibbon"),
        ("frozen dessert in a cone", "ice cream"),
        ("timepiece", "digital watch"),
    ],
)
def test_words_find_the_picture_they_describe(visual: ConceptEncoder, query: str, concept: str) -> None:
    rows = np.concatenate([picture_of(visual, name) for name in (concept, "bookcase", "volcano", "tench", "rifle")])
    assert (visual.encode_text([query]) @ rows.T).argmax() == 0


def test_general_word_finds_every_kind(visual: ConceptEncoder) -> None:
    dogs = np.concatenate([picture_of(visual, name) for name in ("beagle", "pug", "Saint Bernard", "whippet")])
    others = np.concatenate([picture_of(visual, name) for name in ("bookcase", "volcano", "tench", "rifle", "mailbox")])
    query = visual.encode_text(["dog"])
    assert (query @ dogs.T).min() > 2 * (query @ others.T).max()


def test_query_about_nothing_known_is_far_from_every_picture(visual: ConceptEncoder) -> None:
    rows = np.concatenate([picture_of(visual, name) for name in visual._table.names[:CLASSES]])
    known, unknown = visual.encode_text(["a steam locomotive", "the third law of thermodynamics"]) @ rows.T
    assert known.max() > 0.3
    assert unknown.max() < 0.02


def test_a_word_shared_with_a_class_is_not_enough(visual: ConceptEncoder) -> None:
    """A nail is what the classifier knows, and the word alone brought nails where the end of something was meant."""
    rows = np.concatenate([picture_of(visual, name) for name in visual._table.names[:CLASSES]])
    thing, saying = visual.encode_text(["a metal spike hammered into wood", "the nail in the coffin"]) @ rows.T
    assert thing.max() > 10 * saying.max()


@pytest.mark.parametrize(
    "word", ["dog", "animals", "bird", "food", "fruit", "furniture", "a building", "a computer", "a musical instrument"]
)
def test_general_word_resembles_its_concept(visual: ConceptEncoder, word: str) -> None:
    (row,) = visual.encode_text([word])
    assert np.linalg.norm(row[:CLASSES]) > 0.5


def test_resemblance_is_that_of_plain_arithmetic(visual: ConceptEncoder, encoders: Encoders) -> None:
    texts = ["a bird with a red head", "the third law of thermodynamics"]
    vectors = encoders.text.encode_text(texts)
    with np.load(EMBEDDED / TABLE_FILE) as table:
        to_others = table["to_others"]
    classes = np.concatenate([vectors @ table_rows("prototypes").T, vectors @ table_rows("descriptions").T], axis=1)
    others = vectors @ to_others @ table_rows("others").T
    expected = classes.max(axis=1) - OTHER_SHARE * others.max(axis=1)
    closeness, _ = visual._table.weigh(vectors)
    np.testing.assert_allclose(visual._table.resemble(vectors, closeness), expected, atol=1e-4)
    assert visual._table.resemble(vectors[:0], closeness[:0]) == []


def test_description_names_the_likeliest_concepts(visual: ConceptEncoder) -> None:
    rows = np.concatenate(
        [picture_of(visual, "beagle"), picture_of(visual, "canoe", "paddle"), np.zeros((1, 1001), np.float32)]
    )
    sure, shared, nothing = visual.describe(rows)
    assert sure == "closest concepts: beagle"
    assert shared in ("closest concepts: canoe, paddle", "closest concepts: paddle, canoe")
    assert nothing is None


def test_picture_without_a_likely_concept_has_no_description(visual: ConceptEncoder) -> None:
    even = visual._place(np.full((1, CLASSES), 1 / CLASSES, np.float32))
    assert visual.describe(even) == [None]


def test_pooling_equal_frames_changes_nothing(visual: ConceptEncoder, pictures: Pictures) -> None:
    row = visual.encode_images(pictures[:1])
    np.testing.assert_allclose(visual.pool(np.repeat(row, 4, axis=0)), row[0], atol=1e-4)


def test_pooled_shot_holds_what_each_frame_shows(visual: ConceptEncoder) -> None:
    pooled = visual.pool(np.concatenate([picture_of(visual, "canoe"), picture_of(visual, "paddle")]))
    assert pooled.shape == (visual.space.dimension,)
    np.testing.assert_allclose(pooled, picture_of(visual, "canoe", "paddle")[0], atol=1e-3)


def test_pooling_no_frames_is_refused(visual: ConceptEncoder) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        visual.pool(np.zeros((0, 1001), np.float32))


def test_vectors_of_another_space_are_refused(visual: ConceptEncoder) -> None:
    with pytest.raises(SpaceMismatch) as caught:
        visual.describe(np.zeros((1, 384), np.float32))
    assert caught.value.code == "space_mismatch"


def test_visual_and_text_queries_share_one_network_call() -> None:
    text = MiniLMEncoder(EMBEDDED, EncoderOptions(threads=1))
    visual = ConceptEncoder(EMBEDDED, text, EncoderOptions(threads=1))
    text.encode_text(["a ladder on a roof"])
    visual.encode_text(["a ladder on a roof"])
    assert text.network_calls == 1


def test_damaged_concept_table_is_an_error(tmp_path: Path, encoders: Encoders) -> None:
    (tmp_path / TABLE_FILE).write_bytes((EMBEDDED / TABLE_FILE).read_bytes()[:5000])
    with pytest.raises(ModelError, match=TABLE_FILE) as caught:
        ConceptEncoder(tmp_path, encoders.text)
    assert caught.value.code == "model_invalid"
