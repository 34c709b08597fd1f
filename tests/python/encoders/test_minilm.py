"""The embedded text encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixr.encoders import EncoderOptions, Encoders
from pixr.encoders.minilm import MODEL_FILE, TOKENIZER_FILE, MiniLMEncoder
from pixr.encoders.registry import EMBEDDED
from pixr.errors import ModelError, ModelNotFound
from tests.python.encoders.parity_inputs import TEXTS

SENTENCES = ["a cat sleeps on the sofa", "the kitten naps on the couch", "share prices fell sharply on monday"]


def fresh(cached_texts: int = 8, batch_size: int = 4) -> MiniLMEncoder:
    return MiniLMEncoder(EMBEDDED, EncoderOptions(threads=1, batch_size=batch_size), cached_texts=cached_texts)


def test_rows_are_float32_of_length_one(encoders: Encoders) -> None:
    rows = encoders.text.encode_text([*SENTENCES, ""])
    assert rows.dtype == np.float32
    assert rows.shape == (4, encoders.text.space.dimension)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)


def test_vectors_are_those_of_the_published_model() -> None:
    """Recorded by `models/rewrite_minilm.py`; the shipped graph rounds what it multiplies to int8."""
    published = np.load(Path(__file__).parent / "minilm.npy")
    ours = fresh().encode_text(TEXTS)
    assert np.einsum("td,td->t", ours, published).min() > 0.997  # the text without a word; of the others 0.9989
    np.testing.assert_allclose(ours @ ours.T, published @ published.T, atol=0.02)


def test_no_texts_give_no_rows(encoders: Encoders) -> None:
    assert encoders.text.encode_text([]).shape == (0, 384)


def test_sentences_that_mean_the_same_are_closer(encoders: Encoders) -> None:
    cat, kitten, shares = encoders.text.encode_text(SENTENCES)
    assert cat @ kitten > 0.6
    assert cat @ shares < 0.2


def test_batch_result_equals_single_result() -> None:
    texts = [*SENTENCES, "rain", " ".join(["a long sentence about many things"] * 12)]
    together = fresh().encode_text(texts)
    alone = np.concatenate([fresh(cached_texts=0, batch_size=1).encode_text([text]) for text in texts[:3]])
    np.testing.assert_allclose(together[:3], alone, atol=2e-5)


def test_repeated_text_skips_the_network() -> None:
    encoder = fresh()
    first = encoder.encode_text(SENTENCES)
    calls = encoder.network_calls
    assert calls > 0
    np.testing.assert_array_equal(encoder.encode_text([SENTENCES[1]])[0], first[1])
    assert encoder.network_calls == calls


def test_same_text_twice_in_one_call_is_encoded_once() -> None:
    encoder = fresh(batch_size=1)
    rows = encoder.encode_text(["rain", "rain", "rain"])
    assert encoder.network_calls == 1
    np.testing.assert_array_equal(rows[0], rows[2])


def test_cache_forgets_the_text_not_used_longest() -> None:
    encoder = fresh(cached_texts=2)
    for text in ("one", "two", "one", "three"):
        encoder.encode_text([text])
    calls = encoder.network_calls
    encoder.encode_text(["one"])
    assert encoder.network_calls == calls
    encoder.encode_text(["two"])
    assert encoder.network_calls == calls + 1


def test_changing_a_returned_row_does_not_change_the_cache() -> None:
    encoder = fresh()
    encoder.encode_text(["rain"])[:] = 0
    np.testing.assert_allclose(np.linalg.norm(encoder.encode_text(["rain"])), 1.0, atol=1e-5)


def test_long_text_is_cut_at_256_tokens() -> None:
    encoder = fresh(cached_texts=0)
    start = "tree " * 254
    same = encoder.encode_text([start, start + "submarine " * 50])
    np.testing.assert_allclose(same[0], same[1], atol=2e-5)


def test_sentence_vectors_have_no_description(encoders: Encoders) -> None:
    assert encoders.text.describe(encoders.text.encode_text(SENTENCES)) == [None, None, None]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=TOKENIZER_FILE) as caught:
        MiniLMEncoder(tmp_path)
    assert caught.value.code == "model_not_found"


def test_damaged_files_are_errors(tmp_path: Path) -> None:
    (tmp_path / TOKENIZER_FILE).write_text("{")
    with pytest.raises(ModelError, match=TOKENIZER_FILE):
        MiniLMEncoder(tmp_path)
    (tmp_path / TOKENIZER_FILE).write_bytes((EMBEDDED / TOKENIZER_FILE).read_bytes())
    (tmp_path / MODEL_FILE).write_bytes((EMBEDDED / MODEL_FILE).read_bytes()[:100_000])
    with pytest.raises(ModelError, match=MODEL_FILE) as caught:
        MiniLMEncoder(tmp_path)
    assert caught.value.code == "model_invalid"
