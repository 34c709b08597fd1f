"""The figures of `pixr eval`, by hand."""

from __future__ import annotations

import pytest

from pixr.evaluation.ground_truth import Span
from pixr.evaluation.measures import average_precision, measure
from pixr.evaluation.reliability import draw_diagram, reliability

RIGHT = (Span("a", 0.0, 10.0), Span("a", 20.0, 30.0))


def test_recall_counts_the_first_moments_at_each_overlap() -> None:
    found = [Span("b", 0.0, 10.0), Span("a", 0.0, 6.0), Span("a", 20.0, 30.0)]
    measured = measure([(found, RIGHT), ([], RIGHT)])
    assert measured.recall is not None
    assert measured.recall["0.5"] == {"1": 0.0, "5": 0.5, "10": 0.5}
    assert measured.recall["0.7"] == {"1": 0.0, "5": 0.5, "10": 0.5}
    assert measured.mean_reciprocal_rank == pytest.approx((1 / 2 + 0) / 2)
    assert measure([([Span("a", 0.0, 4.0)], RIGHT)]).recall == {
        "0.3": {"1": 1.0, "5": 1.0, "10": 1.0},
        "0.5": {"1": 0.0, "5": 0.0, "10": 0.0},
        "0.7": {"1": 0.0, "5": 0.0, "10": 0.0},
    }


def test_average_precision_finds_each_span_once() -> None:
    first, again, second = Span("a", 0.0, 10.0), Span("a", 0.0, 9.0), Span("a", 20.0, 30.0)
    assert average_precision([first, second], RIGHT, 0.5) == 1.0
    assert average_precision([first, again], RIGHT, 0.5) == 0.5
    assert average_precision([first, again, second], RIGHT, 0.5) == pytest.approx((1 + 2 / 3) / 2)
    # Interpolated: after a miss, precision is what later hits still reach.
    assert average_precision([Span("b", 0.0, 1.0), first, second], RIGHT, 0.5) == pytest.approx(2 / 3)


def test_questions_about_nothing_count_as_accepted_where_they_get_an_answer() -> None:
    measured = measure([([Span("a", 0.0, 1.0)], ()), ([], ()), ([], ()), ([], ())])
    assert (measured.false_accepts, measured.recall, measured.about_nothing) == (0.25, None, 4)


def test_the_calibration_error_is_the_mean_distance_between_sure_and_right(tmp_path: object) -> None:
    matches = [(0.95, True)] * 9 + [(0.95, False)] + [(0.25, False)] * 10
    found = reliability(matches)
    assert found.error == pytest.approx(0.5 * 0.05 + 0.5 * 0.25)
    assert reliability([(0.75, True)] * 3 + [(0.75, False)]).error == pytest.approx(0.0)
    assert reliability([]).error == 0.0
    from pathlib import Path

    out = Path(str(tmp_path)) / "diagram.png"
    pytest.importorskip("PIL")
    draw_diagram(out, [("frame", found), ("speech", found)])
    from PIL import Image

    with Image.open(out) as drawn:
        assert drawn.width > drawn.height > 300
        side_by_side = drawn.size
    draw_diagram(out, [("frame", found), ("speech", found), ("screen", found)], columns=2)
    with Image.open(out) as drawn:
        assert drawn.size == (side_by_side[0], 2 * side_by_side[1])


def test_lists_of_questions_about_nothing_have_none_in_common() -> None:
    """What was chosen with a list can't be measured with it, so no question may stand in two."""
    from benches.eval.quality import NOTHING, read_null_queries

    chosen_on = NOTHING["thirty"].with_name("null_queries_chosen_on.txt")
    lists = [read_null_queries(path) for path in (*NOTHING.values(), chosen_on)]
    assert [len(questions) for questions in lists] == [30, 50, 50, 115]
    every = [question.lower() for questions in lists for question in questions]
    assert len(set(every)) == len(every)
