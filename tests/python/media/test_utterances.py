"""One sentence is one utterance, and its span is the shot it was spoken in."""

from __future__ import annotations

import numpy as np
import pytest

from pixr.media import AudioChunk, Utterance, Word, align_to_shots
from pixr.media.audio import SAMPLE_RATE_HZ
from pixr.media.silence import quiet_stretches
from pixr.media.speech import cut_pieces
from pixr.media.utterances import split_utterances


def words_of(text: str, start: float = 0.0, each: float = 0.4) -> list[Word]:
    return [
        Word(start + each * index, start + each * (index + 1), word, 0.9) for index, word in enumerate(text.split())
    ]


def texts(utterances: list[Utterance]) -> list[str]:
    return [utterance.text for utterance in utterances]


def test_sentences_are_separated() -> None:
    said = split_utterances(words_of("A dog barks. Dr. Smith laughs! Why?"), [])
    assert texts(said) == ["A dog barks.", "Dr. Smith laughs!", "Why?"]


def test_a_pause_separates_what_punctuation_joined() -> None:
    words = words_of("a nightstand stands,") + words_of("a janitor mops the floor.", start=2.4)
    said = split_utterances(words, [(1.2, 2.4)])
    assert texts(said) == ["a nightstand stands,", "a janitor mops the floor."]
    assert said[0].end_seconds == pytest.approx(1.2)
    assert said[1].start_seconds == pytest.approx(2.4)


def test_a_word_that_swallowed_a_pause_stays_with_its_sentence() -> None:
    """Whisper gave the last word of a sentence the silence after it, up to the next sentence's first sound."""
    words = [*words_of("edge of a"), Word(1.3, 3.1, "cliff.", 0.9), *words_of("The next one.", start=3.1)]
    said = split_utterances(words, [(1.7, 3.0)])
    assert texts(said) == ["edge of a cliff.", "The next one."]
    assert said[0].end_seconds == pytest.approx(1.7)


def test_a_short_pause_separates_only_at_a_cut() -> None:
    words = words_of("one two") + words_of("three four", start=1.1)
    assert texts(split_utterances(words, [(0.8, 1.1)])) == ["one two three four"]
    assert texts(split_utterances(words, [(0.8, 1.1)], cuts=[1.0])) == ["one two", "three four"]


def test_endless_talk_is_split() -> None:
    said = split_utterances(words_of("and " * 100), [], longest_seconds=15)
    assert all(utterance.end_seconds - utterance.start_seconds <= 15.01 for utterance in said)
    assert sum(len(utterance.words) for utterance in said) == 100


def test_no_words_no_utterances() -> None:
    assert split_utterances([], [(0.0, 5.0)]) == []


def spans(utterances: list[Utterance]) -> list[tuple[float, float]]:
    return [(utterance.start_seconds, utterance.end_seconds) for utterance in utterances]


def utterance(start: float, end: float) -> Utterance:
    return Utterance(start, end, "something", 0.9)


def test_an_utterance_alone_in_a_short_shot_takes_all_of_it() -> None:
    assert spans(align_to_shots([utterance(4.1, 5.4), utterance(7.9, 10.2)], [(0, 4), (4, 8), (8, 12)])) == [
        (4, 8),
        (8, 12),
    ]


def test_utterances_of_one_shot_do_not_grow_over_each_other() -> None:
    assert spans(align_to_shots([utterance(0.2, 1.5), utterance(2.0, 3.5)], [(0, 4)])) == [(0, 1.5), (2.0, 4)]


def test_in_a_long_shot_only_near_edges_move() -> None:
    assert spans(align_to_shots([utterance(1.0, 4.0), utterance(20.0, 22.0)], [(0, 60)])) == [(0, 4.0), (20.0, 22.0)]


def test_an_utterance_across_shots_keeps_its_times() -> None:
    assert spans(align_to_shots([utterance(2.0, 6.0)], [(0, 4), (4, 8)])) == [(2.0, 6.0)]


def test_without_shots_nothing_moves() -> None:
    assert spans(align_to_shots([utterance(2.0, 6.0)], [])) == [(2.0, 6.0)]


def tone(seconds: float, level: float = 0.3) -> np.ndarray:
    instants = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (level * np.sin(2 * np.pi * 300 * instants)).astype(np.float32)


def test_quiet_is_found_over_noise_and_in_nothing() -> None:
    noise = np.random.default_rng(0).normal(0, 0.002, 5 * SAMPLE_RATE_HZ).astype(np.float32)
    sound = np.concatenate([tone(2), np.zeros(SAMPLE_RATE_HZ, np.float32), tone(2)]) + noise
    assert quiet_stretches(sound) == [pytest.approx((2.0, 3.0), abs=0.03)]
    assert quiet_stretches(np.zeros(SAMPLE_RATE_HZ, np.float32)) == [(0.0, 1.0)]
    assert quiet_stretches(np.zeros(10, np.float32)) == []


def chunks_of(sound: np.ndarray, start: float = 0.0) -> list[AudioChunk]:
    samples = (sound * 32767).astype(np.int16)
    step = 10 * SAMPLE_RATE_HZ
    return [AudioChunk(start + at / SAMPLE_RATE_HZ, samples[at : at + step]) for at in range(0, len(samples), step)]


def test_pieces_are_cut_at_pauses_and_lose_no_sound() -> None:
    sound = np.concatenate([np.concatenate([tone(6), np.zeros(SAMPLE_RATE_HZ // 2, np.float32)]) for _ in range(12)])
    pieces = list(cut_pieces(chunks_of(sound)))
    assert all(len(samples) <= 29 * SAMPLE_RATE_HZ for _, samples in pieces)
    heard = sum(float((np.abs(samples) > 0.01).sum()) for _, samples in pieces)
    assert heard == float((np.abs(sound) > 0.01).sum())
    for start, samples in pieces[:-1]:
        end = start + len(samples) / SAMPLE_RATE_HZ
        assert (end % 6.5) > 6.0, "a piece ends in the middle of sound"


def test_hours_of_silence_make_no_pieces_to_recognise() -> None:
    chunks = (AudioChunk(10.0 * index, np.zeros(10 * SAMPLE_RATE_HZ, np.int16)) for index in range(360))
    assert sum(len(samples) for _, samples in cut_pieces(chunks)) <= SAMPLE_RATE_HZ


def test_a_hole_in_the_sound_separates_pieces() -> None:
    pieces = list(cut_pieces([*chunks_of(tone(3)), *chunks_of(tone(3), start=50.0)]))
    assert [start for start, _ in pieces] == [0.0, 50.0]
