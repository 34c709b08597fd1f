"""Ground truth as it is published, and a whole evaluation on a small library."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

import pixr
from pixr.errors import InvalidQuery
from pixr.evaluation import Judged, Span, evaluate, read_ground_truth
from pixr.evaluation.ground_truth import read_lines
from tests.python.cli.process import COMMAND

QVHIGHLIGHTS = {
    "qid": 2579,
    "query": "A girl and her mother cooked while talking with each other on facetime.",
    "duration": 150,
    "vid": "NUsG9BgSes0_210.0_360.0",
    "relevant_clip_ids": [82, 83],
    "saliency_scores": [[1, 1, 2], [2, 1, 2]],
    "relevant_windows": [[60, 64], [100, 112]],
}
TVR = {
    "vid_name": "friends_s01e03_seg02_clip_19",
    "duration": 61.46,
    "ts": [16.48, 33.87],
    "desc": "Phoebe puts one of her ponytails in her mouth.",
    "type": "v",
    "desc_id": 90200,
}


def written(folder: Path, *lines: object) -> Path:
    path = folder / "truth"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return path


def test_each_format_is_recognised_by_its_first_line(tmp_path: Path) -> None:
    (one,) = read_ground_truth(written(tmp_path, QVHIGHLIGHTS))
    video = "NUsG9BgSes0_210.0_360.0"
    assert (one.within, one.relevant) == (video, (Span(video, 60.0, 64.0), Span(video, 100.0, 112.0)))
    (two,) = read_ground_truth(written(tmp_path, TVR))
    assert two.question == {"query": TVR["desc"], "modes": ["visual"]}
    assert (two.family, two.within) == ("tvr v", None)
    (three,) = read_ground_truth(written(tmp_path, "AO8RW 0.0 6.9##a person is putting a book on a shelf."))
    assert three.question == {"query": "a person is putting a book on a shelf."}
    assert three.relevant == (Span("AO8RW", 0.0, 6.9),)
    (four,) = read_ground_truth(written(tmp_path, {"query": "x", "relevant": [], "family": "nothing"}))
    assert (four.family, four.relevant) == ("nothing", ())


def test_a_line_that_is_not_utf_8_is_refused_and_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    """Such a file of questions, or of questions about nothing, was told as a bug; so was one with a byte order mark."""
    truth = tmp_path / "truth"
    line = json.dumps({"query": "a\u2028b", "relevant": []}, ensure_ascii=False)
    truth.write_text(f"\ufeff\n{line}\n", encoding="utf-8")
    assert [one.id for one in read_ground_truth(truth)] == ["2"]
    truth.write_bytes(f"{line}\n".encode() + b"\xe9t\xe9\n")
    for read in (read_ground_truth, read_lines):
        with pytest.raises(InvalidQuery, match="truth, line 2: not UTF-8"):
            read(truth)


ENDLESS = {"query": "a", "relevant": [{"video": "v", "start": 0, "end": 10**400}]}


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("plain words",),
        (QVHIGHLIGHTS, "{"),
        ({"vid_name": "x", "desc": "y"},),
        ("[" * 100_000,),
        (QVHIGHLIGHTS, "[" * 100_000),
        (ENDLESS,),
    ],
    ids=range(7),
)
def test_a_file_of_no_known_format_is_refused(lines: Sequence[object], tmp_path: Path) -> None:
    with pytest.raises(InvalidQuery, match="truth"):
        read_ground_truth(written(tmp_path, *lines))


@pytest.fixture
def library(tmp_path: Path) -> Path:
    batch = pa.record_batch(
        {
            "video_id": ["roof", "roof", "boat"],
            "start": [0.0, 5.0, 0.0],
            "end": [5.0, 10.0, 8.0],
            "speech": ["we mount the solar panels", "now the cables", "the harbour at dawn"],
            "screen": ["Solar panels", None, "Harbour"],
        }
    )
    path = tmp_path / "films.pixr"
    with pixr.open(path) as opened:
        opened.add_segments(batch, videos=[{"id": "roof", "source": "/films/roof.mp4"}, {"id": "boat"}])
        for channel in ("speech", "screen"):
            fitted = {"lexical": {"half": 0.3, "power": 2.0, "top": 0.9}, "floor": 0.01, "sufficient": 0.3}
            opened._engine.set_calibration(channel, json.dumps(fitted))
    return path


CABLES = {"video": "roof", "start": 5, "end": 10}
BOTH = {"video": "roof.mp4", "start": 0, "end": 10}
QUESTIONS = (
    {"id": "1", "family": "said", "query": "cables", "modes": ["audio"], "relevant": [CABLES]},
    {"id": "2", "family": "said", "query": "harbour", "relevant": [{"video": "boat", "start": 0, "end": 8}]},
    {"id": "3", "family": "order", "query": "panels", "then": "cables", "relevant": [BOTH]},
)


def test_a_library_is_measured_as_it_is_and_taken_apart(library: Path, tmp_path: Path) -> None:
    judged = read_ground_truth(written(tmp_path, *QUESTIONS))
    with pixr.open(library, read_only=True) as opened:
        made = evaluate(opened, judged, ["a judge", "dawn over nothing"], ablation=True)
    assert made.errors == []
    assert {family: of.recall and of.recall["0.5"]["1"] for family, of in made.families.items()} == {
        "said": 1.0,
        "order": 1.0,
        "nothing": None,
    }
    assert made.families["nothing"].false_accepts in (0.0, 0.5)
    screen = made.channels["screen"]["said"].recall
    assert screen is not None
    assert (made.channels["screen"]["said"].questions, screen["0.5"]["1"]) == (1, 1.0)
    assert set(made.fusions) == {"weighted_sum", "probabilistic", "max", "rrf"}
    assert made.reliability["speech"].matches >= 1


def test_a_question_of_one_video_is_asked_of_that_video(library: Path) -> None:
    asked = Judged("1", "x", {"query": "the"}, (Span("boat", 0.0, 8.0),), "boat")
    with pixr.open(library, read_only=True) as opened:
        assert evaluate(opened, [asked]).errors == []
        missing = evaluate(opened, [Judged("2", "x", {"query": "the"}, (Span("gone", 0.0, 1.0),), "gone")])
        assert "gone" in missing.errors[0]
        assert evaluate(opened, [Judged("2", "x", {"query": "the"}, (), "gone")], anywhere=True).errors == []


@pytest.mark.parametrize("command", [("eval", "truth"), ("transcript", "roof")])
def test_a_full_disk_leaves_an_earlier_file_as_it_was(library: Path, tmp_path: Path, command: tuple[str, str]) -> None:
    """The transcript, or the report, of before was cut to nothing, and then the new one could not be written."""
    resource = pytest.importorskip("resource")
    written(tmp_path, *QUESTIONS)
    (tmp_path / "before").write_text("of before")
    done = subprocess.run(
        [*COMMAND, command[0], str(library), command[1], "--out", "before"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16)),
    )
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stderr
    assert (tmp_path / "before").read_text() == "of before"


def test_the_command_prints_figures_and_writes_a_report(library: Path, tmp_path: Path) -> None:
    truth = written(tmp_path, *QUESTIONS)
    command = [*COMMAND, "eval", str(library), str(truth), "--out", str(tmp_path / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    heading, *rows = done.stdout.splitlines()
    assert heading.split("\t")[:4] == ["asked", "family", "questions", "R@1 .3"]
    assert rows[0].split("\t")[:4] == ["as asked", "order", "1", "1.000"]
    report = json.loads((tmp_path / "report.json").read_text())
    said = report["families"]["said"]
    assert said["recall"]["0.5"]["1"] == 1.0
    names = {"questions", "aboutNothing", "recall", "meanAveragePrecision", "meanReciprocalRank", "falseAccepts"}
    assert set(said) == names, "in camelCase, as all JSON is"
