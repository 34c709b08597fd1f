"""Related questions: how they are written, read, and answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import pixr
from pixr.errors import InvalidFilter, InvalidQuery, InvalidVideo, VideoNotFound
from pixr.questions import Ask, Blend, Question, Then, While, Without, from_dict, parse
from pixr.wire import hits_to_dict


@pytest.fixture
def library(tmp_path: Path) -> pixr.Library:
    """Two videos of five shots of five seconds: pictures along an axis each, and words."""
    shots = {
        "forwards": [(5, ""), (0, "the roof is ready"), (1, "bring a ladder"), (5, ""), (2, "a waltz begins")],
        "backwards": [(1, "bring a ladder"), (0, "the roof is ready"), (5, ""), (3, "time for lunch"), (4, "")],
    }
    rows = [(id, 5.0 * at, *shot) for id, of in shots.items() for at, shot in enumerate(of)]
    batch = pa.record_batch(
        {
            "video_id": [row[0] for row in rows],
            "start": [row[1] for row in rows],
            "end": [row[1] + 5.0 for row in rows],
            "frame": pa.FixedSizeListArray.from_arrays(
                pa.array(np.eye(6, dtype="float32")[[row[2] for row in rows]].ravel()), 6
            ),
            "speech": [row[3] or None for row in rows],
        }
    )
    library = pixr.open(tmp_path / "films.pixr")
    library.add_segments(batch, videos=[{"id": id, "duration": 25.0, "tags": [id]} for id in shots])
    fitted = {"vector": {"center": 0.5, "slope": 20.0}, "lexical": {"half": 0.3, "power": 2.0, "top": 0.9}}
    for channel in ("frame", "speech"):
        library._engine.set_calibration(channel, json.dumps({**fitted, "floor": 0.01, "sufficient": 0.3}))
    return library


def axis(number: int) -> Ask:
    return pixr.ask(vectors={"frame": np.eye(6, dtype="float32")[number]})


def spoken(text: str) -> Ask:
    return pixr.ask(text, channels=["speech"])


def found(hits: pixr.Hits) -> list[tuple[str, float, float]]:
    return [(hit.video.id, moment.start, moment.end) for hit in hits for moment in hit.moments]


def test_then_demands_the_order_and_says_which_part_each_match_answers(library: pixr.Library) -> None:
    hits = library.search(pixr.then(spoken("roof"), axis(1), within=2))
    assert found(hits) == [("forwards", 5.0, 15.0)]
    moment = hits[0].moments[0]
    assert [(match.part, match.channel) for match in moment.matches] == [
        ("roof", "speech"),
        ("near the given vectors", "frame"),
    ]
    assert sum(match.contribution for match in moment.matches) == pytest.approx(moment.score, abs=1e-6)
    assert found(library.search(pixr.then(axis(1), spoken("roof"), within=2))) == [("backwards", 0.0, 10.0)]


def test_while_without_and_blend_tell_what_is_at_once(library: pixr.Library) -> None:
    assert len(library.search(pixr.while_(axis(0), spoken("roof")))) == 2
    assert not library.search(pixr.while_(axis(0), spoken("ladder")))
    assert not library.search(pixr.without(axis(0), spoken("roof")))
    assert found(library.search(pixr.without(axis(3), spoken("roof")))) == [("backwards", 15.0, 20.0)]
    less = library.search(pixr.blend(axis(1), (axis(2), 0.5), (spoken("ladder"), -0.4)), min_score=0.0)
    moments = {(hit.video.id, moment.start): moment for hit in less for moment in hit.moments}
    moment = moments["forwards", 10.0]
    (taken,) = (match for match in moment.matches if match.part == "ladder")
    assert taken.contribution < 0
    assert sum(match.contribution for match in moment.matches) == pytest.approx(moment.score, abs=1e-6)


def test_a_part_may_be_related_once_more(library: pixr.Library) -> None:
    nested = pixr.then(pixr.while_(axis(0), spoken("roof")), spoken("ladder"), within=1)
    assert found(library.search(nested)) == [("forwards", 5.0, 15.0)]
    with pytest.raises(InvalidQuery, match="not twice"):
        library.search(pixr.while_(pixr.while_(pixr.while_("a", "b"), "c"), "d"), channels=["speech"])


def test_scopes_narrow_what_is_found(library: pixr.Library) -> None:
    assert found(library.search("ladder", channels=["speech"], video="forwards")) == [("forwards", 10.0, 15.0)]
    assert {id for id, *_ in found(library.search("ladder", channels=["speech"], video=["forwards", "backwards"]))} == {
        "forwards",
        "backwards",
    }
    assert found(library.search("ladder", channels=["speech"], between=(0, 6))) == [("backwards", 0.0, 5.0)]
    both = pixr.then(axis(0), axis(1), within=30)
    assert found(library.search(both, filters={"tags": ["forwards"]})) == [("forwards", 5.0, 15.0)]
    assert not library.search(both, between=(0, 9))


def test_more_like_a_moment_finds_others_and_not_that_moment(library: pixr.Library) -> None:
    assert found(library.search(like=("forwards", 5.0, 10.0), limit=1))[0] == ("backwards", 5.0, 10.0)
    said = library.search(like=("forwards", 10.0, 15.0), channels=["speech"])
    assert found(said) == [("backwards", 0.0, 5.0)]
    with pytest.raises(VideoNotFound):
        library.search(like=("nowhere", 0.0, 1.0))
    with pytest.raises(InvalidQuery, match="nothing is known"):
        library.search(like=("forwards", 100.0, 101.0))


def test_a_moment_ends_where_its_scope_does(library: pixr.Library) -> None:
    """What was found within the scope widened to all of its shot, from before the one instant to behind the other."""
    for start, end, row in [
        (1.0, 5.0, {"frame.vector": np.eye(6)[4].tolist()}),
        (2.0, 4.0, {"speech.text": "a bell rings"}),
    ]:
        library.add_segments(pa.RecordBatch.from_pylist([{"video_id": "short", "start": start, "end": end, **row}]))
    assert found(library.search("bell", channels=["speech"])) == [("short", 1.0, 5.0)]
    for question in (spoken("bell"), pixr.blend(spoken("bell")), pixr.while_(spoken("bell"), axis(4))):
        assert found(library.search(question, between=(0, 3))) == [("short", 1.0, 3.0)]
        assert found(library.search(question, between=(2.5, 9))) == [("short", 2.5, 5.0)]


def test_moments_like_a_segment_without_length_are_found(library: pixr.Library) -> None:
    """A segment without length is a moment, of which nothing was known when more like it was asked for."""
    rows = [
        {"video_id": id, "start": at, "end": at, "speech.text": "a bell"} for id, at in (("one", 5.0), ("two", 7.0))
    ]
    library.add_segments(pa.RecordBatch.from_pylist(rows))
    first = library.search("bell", channels=["speech"])[0]
    (moment,) = first.moments
    assert (first.video.id, moment.start, moment.end) == ("one", 5.0, 5.0)
    more = library.search(like=(first.video.id, moment.start, moment.end), channels=["speech"])
    assert found(more) == [("two", 7.0, 7.0)]


def test_a_picture_that_nothing_can_be_compared_with_is_left_out_with_a_warning(tmp_path: Path) -> None:
    """It was passed over, as if it had been asked with."""
    with pixr.open(tmp_path / "spoken.pixr") as spoken:
        spoken.add_segments(
            pa.RecordBatch.from_pylist([{"video_id": "a", "start": 0.0, "end": 5.0, "speech": "a bell"}])
        )
        hits = spoken.search("bell", image=np.zeros((8, 8, 3), np.uint8))
        assert found(hits) == [("a", 0.0, 5.0)]
        assert hits.warnings == ("the image was not asked: the library holds no vectors of pictures",)


def test_words_are_marked_as_they_count(library: pixr.Library) -> None:
    """Words of one other letter were marked as well where the word itself is known, and so no letter is forgiven."""

    def marked(text: str) -> list[str]:
        match = library.search(text, channels=["speech"], min_score=0.0)[0].moments[0].matches[0]
        assert match.description is not None
        return [match.description[start:end] for start, end in match.highlights]

    row = {"video_id": "farm", "start": 0.0, "end": 5.0, "speech.text": "a horse, a house and a mouse"}
    library.add_segments(pa.RecordBatch.from_pylist([row]))
    assert marked("house") == ["house"]
    assert marked("hourse") == ["horse", "house"]


def test_what_weighs_nothing_makes_no_hit_of_a_large_library(tmp_path: Path) -> None:
    """Past 4,000 rows, videos were counted that have evidence of a channel with the weight 0 alone, and never came."""
    with pixr.open(tmp_path / "large.pixr") as large:
        for channel, values in (("frame.vector", [[1.0, 0.0]] * 2100), ("speech.text", ["a bell"] * 2100)):
            ids = [f"{channel}-{at // 3:03}" for at in range(2100)]
            starts = [float(at % 3) for at in range(2100)]
            ends = [start + 1 for start in starts]
            large.add_segments(
                pa.RecordBatch.from_pydict({"video_id": ids, "start": starts, "end": ends, channel: pa.array(values)})
            )
        for weights, hits in (({"speech": 0.0}, 700), ({"frame": 0.0}, 700), ({"frame": 1e-9}, 1400)):
            for effort in (None, 1):
                asked = large.search(
                    "bell",
                    vectors={"frame": [1.0, 0.0]},
                    channels=["frame", "speech"],
                    weights=weights,  # type: ignore[arg-type]
                    facets=["durations"],
                    limit=1000,
                    effort=effort,
                )
                assert asked.total == sum(asked.facets["durations"].values()) == hits
                assert effort is not None or len(asked) == min(hits, 1000)


def test_no_cosine_is_above_one(library: pixr.Library) -> None:
    """Vectors are stored with 11 bits, which can make them a little longer."""
    batch = [{"video_id": "long", "start": 0.0, "end": 5.0, "frame.vector": [1.0, 2.0, 0.0, 0.0, 0.0, 0.0]}]
    library.add_segments(pa.RecordBatch.from_pylist(batch))
    match = library.search(vectors={"frame": [1.0, 2.0, 0.0, 0.0, 0.0, 0.0]})[0].moments[0].matches[0]
    assert match.cosine == 1.0


def test_a_facet_passes_over_its_own_filter_however_that_is_written(library: pixr.Library) -> None:
    """In a tuple, which JSON writes as a list, it was not passed over."""
    for parts in ([{"tags": ["forwards"]}], ({"tags": ["forwards"]},)):
        hits = library.search(spoken("ladder"), filters={"and": parts}, facets=["tags"], facet_mode="disjunctive")
        assert found(hits) == [("forwards", 10.0, 15.0)]
        assert hits.facets["tags"] == {"forwards": 1, "backwards": 1}


def test_diversity_leaves_one_moment_of_a_scene(library: pixr.Library) -> None:
    hits = library.search("the roof, a ladder", channels=["speech"], min_score=0.0, diversity=1.0)
    assert all(len(hit.moments) == 1 for hit in hits)


@pytest.mark.parametrize("question", ["the roof, a ladder", Then("the roof", "a ladder")])
def test_no_moments_leave_videos_scores_and_counts(library: pixr.Library, question: Question) -> None:
    whole = library.search(question, channels=["speech"], min_score=0.0, facets=True)
    alone = library.search(question, channels=["speech"], min_score=0.0, facets=True, moments=0)
    assert len(whole) > 0
    assert [(hit.video, hit.score) for hit in alone] == [(hit.video, hit.score) for hit in whole]
    assert (alone.total, alone.facets) == (whole.total, whole.facets)
    assert all(hit.moments == () for hit in alone)
    assert [one["relevance"]["moments"] for one in hits_to_dict(alone, explain=True)["results"]] == [[]] * len(alone)
    with pytest.raises(InvalidQuery, match="moments is -1, expected a whole number"):
        library.search(question, moments=-1)


def test_json_and_the_short_form_read_as_python_writes(tmp_path: Path) -> None:
    given = {"query": "a dog", "then": "a cat", "within": 8, "modes": ["visual"], "family": "sequence"}
    dog, cat = (Ask(text, modes=["visual"]) for text in ("a dog", "a cat"))
    assert from_dict(given) == Then(dog, cat, 8.0)
    inner = {"query": {"query": "a dog", "not": "a cat"}, "then": {"image": "x.png", "modes": ["visual"]}}
    without = Without(Ask("a dog"), Ask("a cat"))
    assert from_dict(inner, tmp_path) == Then(without, Ask(image=tmp_path / "x.png", modes=["visual"]), 10.0)
    assert from_dict({"blend": [["a dog", 1], [{"query": "a cat"}, -0.5]]}) == Blend(
        ((Ask("a dog"), 1.0), (Ask("a cat"), -0.5))
    )
    assert parse("a dog THEN a cat WITHIN 8s") == Then("a dog", "a cat", 8.0)
    assert parse("(a dog NOT people) THEN (a cat WHILE rain) WITHIN 2.5") == Then(
        Without("a dog", "people"), While("a cat", "rain"), 2.5
    )
    assert parse(str(parse("(a dog NOT people) THEN a cat WITHIN 3s"))) == parse(
        "(a dog NOT people) THEN a cat WITHIN 3s"
    )
    assert parse('a dog THEN "a man WHILE (a cat) THEN"') == Then("a dog", '"a man WHILE (a cat) THEN"')
    for plain in ("now and then a dog", "NOTHING", "a dog (brown), then a cat", '"a man THEN a dog" runs'):
        assert parse(plain) == plain


@pytest.mark.parametrize(
    "text", ["THEN a cat", "a dog THEN", "(a dog THEN a cat", "a dog WHILE a cat WITHIN 3s", "a THEN b WITHIN soon"]
)
def test_a_broken_short_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidQuery):
        parse(text)


@pytest.mark.parametrize("place", ["query", "then", "while", "not", "blend"])
def test_a_misspelt_field_is_refused_within_a_question_and_ignored_beside_it(place: str) -> None:
    part = {"query": "a dog", "mode": ["audio"]}
    asked = {"blend": [[part, 1]]} if place == "blend" else {"query": "a cat", place: part}
    with pytest.raises(InvalidQuery, match=r"^mode: no such field; a question within another has query, "):
        from_dict(asked)
    assert from_dict(part) == Ask("a dog")


def test_questions_nested_beyond_sense_are_refused_however_they_are_written() -> None:
    """Python's RecursionError came of JSON and of the short form."""
    nested: dict[str, Any] = {"query": "a"}
    blend: list[Any] = ["a", 1]
    for _ in range(3000):
        nested = {"query": nested, "then": "b"}
        blend = [{"blend": [blend]}, 1]
    for given in (nested, {"blend": [blend]}):
        with pytest.raises(InvalidQuery, match="too often"):
            from_dict(given)
    with pytest.raises(InvalidQuery, match="too often"):
        parse("(" * 3000 + "a THEN b" + ")" * 3000)


@pytest.mark.parametrize(
    "value",
    [
        {"query": "a", "then": "b", "while": "c"},
        {"query": "a", "within": 3},
        {"query": {"query": "a"}, "within": 3},
        {"query": "a", "while": "b", "within": 3},
        {"query": "a", "blend": [["b", 1]]},
        {"blend": [["b", 1]], "weights": {"frame": 2}},
        {"blend": [["b", 1]], "then": "c"},
        {"query": "a", "then": "b", "within": "3"},
        {"query": 7},
        {"query": "a", "then": 7},
        {"blend": ["a"]},
        {"like": ["a", 1]},
    ],
)
def test_json_that_is_no_question_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(InvalidQuery):
        from_dict(value)


def test_related_questions_say_themselves_what_is_asked(library: pixr.Library) -> None:
    with pytest.raises(InvalidQuery, match="says itself"):
        library.search(pixr.then("a", "b"), vectors={"frame": np.ones(6)})


def test_a_moment_may_be_a_list_as_in_json(library: pixr.Library) -> None:
    of_list = library.search(like=["forwards", 5.0, 10.0])  # type: ignore[arg-type]
    assert found(of_list) == found(library.search(like=("forwards", 5.0, 10.0)))


@pytest.mark.parametrize(
    "fields",
    [
        {"modes": "visual"},
        {"modes": [["visual"]]},
        {"channels": 5},
        {"limit": "5"},
        {"limit": 1.5},
        {"limit": None},
        {"moments": -1},
        {"effort": True},
        {"cursor": 5},
        {"diversity": "0.5"},
        {"between": 5},
        {"between": ("a", "b")},
        {"like": ("roof", 1.0)},
        {"audio": 5},
        {"clip": [1]},
        {"image": 5},
        {"facets": "tags"},
        {"facets": [5]},
        {"fusion": "sum"},
        {"total": None},
        {"weights": {"frame": "2"}},
        {"weights": [1]},
        {"weights": {"speach": 1}},
        {"facet_mode": "all"},
        {"min_score": float("nan")},
        {"between": (0.0, float("inf"))},
        {"filters": {"duration": {"min": float("nan")}}},
        {"filters": {"tags": {1, 2}}},
        {"vectors": [1]},
        {"vectors": {"frame": [10**400, 1.0]}},
        {"vectors": {"frame": [1.0, 1.0j]}},
        {"vectors": {"frame": ["1.0", "0.0"]}},
        {"vectors": {"frame": np.array(["2023-01-01", "2024-01-01"], "datetime64[D]")}},
        {"vectors": {"frame": np.ma.masked_array([1.0, 9e9], [False, True])}},
        {"like": "talk"},
        {"like": ("talk", 0.0)},
        {"like": ("talk", "0", "1")},
        {"like": ("talk", 0.0, 10**400)},
        {"weights": {"speech": 10**400}},
        {"weights": {"speech": 1e300}},
        {"query": 5},
        {"query": "a \ud800"},
        {"filters": [1]},
        {"video": 5},
    ],
)
def test_arguments_of_a_wrong_type_are_refused_by_name(library: pixr.Library, fields: dict[str, Any]) -> None:
    """Most were told by the reader of the engine's JSON: "expected u32 at line 1 column 251"."""
    (name,) = fields
    with pytest.raises(InvalidFilter if name == "filters" else InvalidQuery, match=f"^{name}"):
        library.search(**{"query": "roof", **fields})


def test_the_error_of_an_unknown_channel_lists_the_channels(library: pixr.Library) -> None:
    """It was "no 'visual'; modes are visual, text, audio"."""
    with pytest.raises(
        InvalidQuery, match=r"^no channel 'visual'; channels are frame, metadata, screen, speech, sound$"
    ):
        library.search("roof", channels=["visual"])  # type: ignore[list-item]
    with pytest.raises(InvalidQuery, match=r"^no mode 'frame'; modes are visual, text, audio$"):
        library.search("roof", modes=["frame"])  # type: ignore[list-item]


@pytest.mark.parametrize("depth", [3, 100, 3000])
def test_questions_within_questions_end_somewhere(library: pixr.Library, depth: int) -> None:
    question: pixr.questions.Question = "a"
    for _ in range(depth):
        question = pixr.then(question, "b")
    with pytest.raises(InvalidQuery):
        library.search(question)


@pytest.mark.parametrize("depth", [17, 40, 200, 3000])
def test_a_filter_that_is_nested_too_deep_is_refused_as_a_filter(library: pixr.Library, depth: int) -> None:
    """From 127 on it was "invalid query: recursion limit exceeded at line 1 column 1098"."""
    filters: dict[str, Any] = {"id": "a"}
    for _ in range(depth):
        filters = {"not": filters}
    with pytest.raises(InvalidFilter, match="nested"):
        library.search("roof", filters=filters)


def test_too_many_words_are_refused_before_they_are_encoded() -> None:
    """Pictures alone were asked a question of any length, and one of a megabyte was cut into clauses for minutes."""
    pixr.ask("é" * 4096, channels=["frame"])
    with pytest.raises(InvalidQuery, match=r"^query has 8193 bytes, at most 8192 are allowed$"):
        pixr.ask("é" * 4096 + "a", channels=["frame"])


def test_numbers_of_related_questions_are_checked_where_they_are_related() -> None:
    for within in (-1, float("nan"), "8"):
        with pytest.raises(InvalidQuery, match=r"^within is "):
            pixr.then("a", "b", within=within)  # type: ignore[arg-type]
    with pytest.raises(InvalidQuery, match=r"^blend is '1', expected a number from -1 to 1,000,000,000$"):
        pixr.blend("a", ("b", "1"))  # type: ignore[arg-type]
    with pytest.raises(InvalidQuery, match=r"^blend is 3e\+38, expected"):
        pixr.blend(("a", 3e38), ("b", 3e38))
    with pytest.raises(InvalidQuery, match="a question with its weight"):
        pixr.blend(("a",))  # type: ignore[arg-type]


@pytest.mark.parametrize("filters", [{"duration": {"min": 10**400}}, {"not": {"metadata": {"n": [1, -(10**400)]}}}])
def test_a_number_that_no_float_holds_is_refused_by_its_field(library: pixr.Library, filters: dict[str, Any]) -> None:
    """The engine told of a column of JSON, and of the query where it was the filter."""
    with pytest.raises(InvalidFilter, match="a number of 401 digits"):
        library.search("ladder", channels=["speech"], filters=filters)
    with pytest.raises(InvalidVideo, match=r'"forwards": metadata: a whole number .* more than 64 bits'):
        library.update("forwards", metadata={"n": 10**400})
    title = "7" * 400
    assert library.update("forwards", title=title).title == title


def test_half_of_a_surrogate_pair_is_refused_by_its_field(library: pixr.Library) -> None:
    """Python puts one for each byte of a name that is not UTF-8. The engine told of a column of JSON."""
    for asked in ({"video": "\udcff"}, {"filters": {"tags": ["\U0001f3ac", "a\ud83c"]}}):
        with pytest.raises(InvalidFilter, match="half of a surrogate pair"):
            library.search("ladder", channels=["speech"], **asked)
    with pytest.raises(InvalidQuery, match=r"cursor: .* half of a surrogate pair"):
        library.search("ladder", channels=["speech"], cursor="\ud800")
    with pytest.raises(VideoNotFound, match="half of a surrogate pair"):
        library.search(like=("\udcff", 0.0, 1.0))
    assert not library.search("ladder", channels=["speech"], filters={"tags": ["\U0001f3ac"]})


def test_a_faint_moment_takes_no_sure_one_out_of_a_compound(tmp_path: Path) -> None:
    """What a question found was missed by a compound of it, as nearly the same span as a faint one that scored more."""
    rows = [  # The sure sentence; a faint one; a picture that is faint as well, and only shown with the latter.
        {"video_id": "a", "start": 10.0, "end": 20.0, "speech.vector": [0.5, 0.75**0.5]},
        {"video_id": "a", "start": 8.0, "end": 20.0, "speech.vector": [0.38, 0.925]},
        {"video_id": "a", "start": 5.9, "end": 14.05, "frame.vector": [0.6, 0.8]},
    ]
    with pixr.open(tmp_path / "l.pixr") as library:
        names = ("frame.vector", "speech.vector")
        library.add_segments(pa.RecordBatch.from_pylist([dict.fromkeys(names) | row for row in rows]))
        for channel, sufficient in (("frame", 0.9), ("speech", 0.45)):
            fitted = {"vector": {"center": 0.5, "slope": 8.0}, "floor": 0.01, "sufficient": sufficient}
            library._engine.set_calibration(channel, json.dumps(fitted))
        asked = pixr.ask(vectors={"frame": [1.0, 0.0], "speech": [1.0, 0.0]})
        absent = pixr.ask(vectors={"frame": [-1.0, 0.0]})
        (alone,) = library.search(asked)
        for compound in (pixr.without(asked, absent), pixr.blend(asked)):
            (hit,) = library.search(compound)
            assert hit.score == alone.score
            assert (hit.moments[0].start, hit.moments[0].end) == (alone.moments[0].start, alone.moments[0].end)
        assert library.search(pixr.while_(asked, asked))


def test_what_is_tiny_comes_where_it_is_counted(tmp_path: Path) -> None:
    """Past 4,000 rows, videos were counted whose confidence vanished beside 1, and never came."""
    with pixr.open(tmp_path / "large.pixr") as large:
        vectors = [[-1.0, 0.0] if at % 3 == 0 else [1.0, 0.0] for at in range(4200)]
        ids = [f"{at:04}" for at in range(4200)]
        batch = {"video_id": ids, "start": [0.0] * 4200, "end": [1.0] * 4200, "frame.vector": vectors}
        large.add_segments(pa.RecordBatch.from_pydict(batch))
        fitted = {"vector": {"center": 0.25, "slope": 20.0}, "sufficient": 0.3}
        large._engine.set_calibration("frame", json.dumps(fitted))
        page = large.search(vectors={"frame": [1.0, 0.0]}, fusion="probabilistic", min_score=0.0, limit=1000)
        came = len(page)
        while page.next_cursor:
            asked = {"vectors": {"frame": [1.0, 0.0]}, "fusion": "probabilistic", "min_score": 0.0, "limit": 1000}
            page = large.search(**asked, cursor=page.next_cursor)  # type: ignore[arg-type]
            came += len(page)
        assert came == page.total == 4200
