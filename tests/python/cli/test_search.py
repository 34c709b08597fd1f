"""`pixr search`: shapes, filters, batches, misuse."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import pixr
from pixr.cli.batch import OPTIONS, run_batch
from pixr.evaluation.ground_truth import Span, read_ground_truth
from pixr.questions import Ask
from pixr.wire import hits_to_dict
from tests.python.cli.process import COMMAND, Run, Screen


def test_json_is_the_response_of_the_http_api(run: Run, library: Path) -> None:
    done = run("search", library, "solar panels", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    with pixr.open(library, read_only=True) as opened:
        expected = hits_to_dict(opened.search("solar panels"))
    answer.pop("timing")
    expected.pop("timing")
    assert answer == expected
    assert answer["results"][0]["videoId"] == "roof"


def test_the_help_shows_lines_of_questions_that_are_read(run: Run, library: Path, tmp_path: Path) -> None:
    """What a line of --queries or of `pixr eval` holds was said in the source alone."""
    told = run("search", "--help").stdout
    (line,) = re.findall(r'^ *(\{"id": 1, "query".*\})$', told, re.MULTILINE)
    (tmp_path / "in.jsonl").write_text(line + "\n")
    assert run("search", library, "--queries", tmp_path / "in.jsonl", "--out", tmp_path / "out.jsonl").returncode == 0
    assert "error" not in json.loads((tmp_path / "out.jsonl").read_text())
    for name in (*OPTIONS, *(field.name for field in fields(Ask)), "then", "within", "while", "not", "blend"):
        assert re.search(rf"\b{name}\b", told.split("Arguments:")[0].split("--queries")[-1]), name
    (line,) = re.findall(r'^ *(\{"query".*\})$', run("eval", "--help").stdout, re.MULTILINE)
    (tmp_path / "judged.jsonl").write_text(line + "\n")
    (judged,) = read_ground_truth(tmp_path / "judged.jsonl")
    assert judged.relevant == (Span("roof", 0.0, 5.0),)


def test_an_explanation_adds_up_to_each_score(run: Run, library: Path) -> None:
    answer = json.loads(run("search", library, "solar panels", "--explain", "--json").stdout)
    assert answer["results"]
    for result in answer["results"]:
        for index, moment in enumerate(result["relevance"]["moments"]):
            parts = [m["contribution"] for m in result["relevance"]["matches"] if m["moment"] == index]
            assert sum(parts) == pytest.approx(moment["score"], abs=1e-6)


def test_an_explanation_says_how_each_channel_was_searched(run: Run, library: Path) -> None:
    """JSON said it and the table did not, so that nobody at a terminal saw what was answered exactly."""
    asked = ("search", library, "solar panels", "--explain")
    plan = json.loads(run(*asked, "--json").stdout)["plan"]
    assert plan
    assert set(plan.values()) == {"exact"}
    said = run(*asked).stderr
    assert all(f"{channel} exact" in said for channel in plan), said


def test_a_pipe_gets_plain_lines_of_columns(run: Run, library: Path) -> None:
    done = run("search", library, "solar panels")
    heading, *rows = done.stdout.splitlines()
    assert heading.split("\t") == ["score", "moment", "video", "because"]
    assert rows[0].split("\t")[2] == "Solar install"
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "utf-8"])
def test_what_the_letters_of_a_terminal_lack_is_written_by_number(run: Run, library: Path, encoding: str) -> None:
    """Where they are not Unicode's, every answer ended at the dash between two times, told as a bug."""
    with pixr.open(library) as opened:
        opened.update("boat", title="帆 😀")
    asked = ("search", "films.pixr", "harbour", "--modes", "audio")
    lines = run(*asked, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert lines.returncode == 0, lines.stderr
    title = "帆 😀" if encoding == "utf-8" else "\\u5e06 \\U0001f600"
    assert title in lines.stdout
    answer = run(*asked, "--json", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert json.loads(answer.stdout)["results"][0]["title"] == "帆 😀"


def test_a_terminal_gets_a_table(run_on_terminal: Callable[..., Screen], library: Path) -> None:
    shown = run_on_terminal("search", library, "solar panels")
    assert shown.returncode == 0
    assert "Solar install" in shown.text
    assert "1 video," in shown.text or "videos," in shown.text
    assert "\x1b[1m" in shown.text, "its heading is bold"


def test_filters_and_modes_narrow_the_answer(run: Run, library: Path) -> None:
    def found(*arguments: str) -> list[str]:
        done = run("search", library, *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return [result["videoId"] for result in json.loads(done.stdout)["results"]]

    assert found("harbour") == ["boat"]
    assert found("harbour", "--filter", "tags=diy") == []
    assert found("harbour", "--filter", "duration=..8", "--filter", "tags=sea,diy") == ["boat"]
    assert found("harbour", "--filter", "tags=sea", "--filter", "tags=diy") == [], "a key given twice has to hold twice"
    assert found("harbour", "--filter", "metadata.year=2000..2030") == ["boat"]
    assert found("harbour", "--filter", "metadata.year=2021..") == []
    assert found("harbour", "--modes", "audio") == ["boat"]


def test_pages_follow_each_other(run: Run, library: Path) -> None:
    arguments = ("search", library, "the", "--limit", "1", "--min-score", "0", "--json")
    first = json.loads(run(*arguments).stdout)
    cursor = first["pagination"]["nextCursor"]
    if cursor is None:
        pytest.fail(f"one page holds everything: {first['pagination']}")
    second = json.loads(run(*arguments, "--cursor", cursor).stdout)
    assert first["results"][0]["videoId"] != second["results"][0]["videoId"]
    forged = run(*arguments, "--cursor", cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB"))
    assert forged.returncode == 1
    assert "[invalid_cursor]" in forged.stderr


def test_a_batch_answers_every_line(run: Run, library: Path, tmp_path: Path) -> None:
    queries = [
        {"id": "a", "query": "solar panels", "modes": ["audio"], "family": "speech", "relevant": []},
        {"id": "b", "query": "harbour", "filters": {"tags": ["diy"]}},
        {"id": "c", "query": "harbour", "limit": 1},
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, queries)) + "\n\n")
    done = run("search", library, "--queries", "in.jsonl", "--out", "out.jsonl")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [answer["id"] for answer in answers] == ["a", "b", "c"]
    assert all(answer["seconds"] > 0 for answer in answers)
    assert answers[0]["results"][0]["source"] == "roof.mp4"
    assert {match["type"] for match in answers[0]["results"][0]["relevance"]["matches"]} == {"audio"}
    assert answers[1]["results"] == []
    assert answers[2]["results"][0]["source"] == "boat", "without a source, the id"


def test_a_batch_is_explained_where_that_is_asked_for(run: Run, library: Path, tmp_path: Path) -> None:
    """`--explain` was taken and did nothing."""
    (tmp_path / "in.jsonl").write_text('{"id": 1, "query": "solar panels"}\n')
    done = run("search", library, "--queries", "in.jsonl", "--out", "out.jsonl", "--explain")
    assert done.returncode == 0, done.stderr
    answer = json.loads((tmp_path / "out.jsonl").read_text())
    alone = json.loads(run("search", library, "solar panels", "--explain", "--json").stdout)
    assert [result | {"source": None} for result in answer["results"]] == [
        result | {"source": None} for result in alone["results"]
    ]
    assert answer["plan"] == alone["plan"]
    assert all("weight" in match for match in answer["results"][0]["relevance"]["matches"])


def test_a_batch_reports_what_could_not_be_answered(run: Run, library: Path, tmp_path: Path) -> None:
    """Its answers were those of words alone, and nothing said so."""
    batch = pa.record_batch(
        {
            "video_id": ["roof"],
            "start": [0.0],
            "end": [5.0],
            "frame": pa.FixedSizeListArray.from_arrays(pa.array([1.0, 0.0], pa.float32()), 2),
        }
    )
    with pixr.open(library) as opened:
        opened.add_segments(batch)
    (tmp_path / "in.jsonl").write_text('{"id": 1, "query": "solar"}\n{"id": 2, "query": "solar", "modes": ["audio"]}\n')
    done = run("search", library, "--queries", "in.jsonl", "--out", "out.jsonl")
    assert done.returncode == 0, done.stderr
    without, whole = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    (warning,) = without["warnings"]
    assert warning.startswith("channel frame holds vectors of space custom@1/2")
    assert "warnings" not in whole
    assert done.stderr == f"pixr: {warning}\n"


def test_a_batch_goes_on_past_a_query_that_fails(run: Run, library: Path, tmp_path: Path) -> None:
    queries = [{"id": 1, "query": "x", "filters": {"tags": 7}}, {"id": 2, "then": "y"}, {"id": 3, "query": "harbour"}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, queries)))
    done = run("search", library, "--queries", "in.jsonl", "--out", "out.jsonl", "--json")
    assert done.returncode == 1
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    report = json.loads(done.stdout)
    assert (report["queries"], report["failed"]) == (3, 2)
    assert report["medianMs"] == pytest.approx(answers[2]["seconds"] * 1000), "what failed took no time of a search"
    assert report["seconds"] == pytest.approx(sum(answer["seconds"] for answer in answers))
    assert [answer.get("error", {}).get("code") for answer in answers] == ["invalid_filter", "invalid_query", None]
    assert answers[2]["results"]


BADLY_TYPED = {
    '"weights": [1]': "invalid_query",
    '"vectors": [1]': "invalid_query",
    '"filters": [1]': "invalid_filter",
    '"filters": "x"': "invalid_filter",
    '"video": 5': "invalid_query",
    '"modes": [["visual"]]': "invalid_query",
    '"modes": "visual"': "invalid_query",
    '"channels": [1]': "invalid_query",
    '"query": "\\ud800"': "invalid_query",
    '"query": 5': "invalid_query",
    '"image": "\\u0000"': "invalid_query",
    '"then": "x", "within": 1e400': "invalid_query",
}


def test_a_badly_typed_field_fails_its_own_query_alone(run: Run, library: Path, tmp_path: Path) -> None:
    """A list where an object belongs once ended the batch with a bug's message, and no answer was left."""
    lines = ['{"id": "first", "query": "harbour"}']
    lines += [f'{{"id": {at}, "query": "harbour", {field}}}' for at, field in enumerate(BADLY_TYPED)]
    lines += ['{"id": "last", "query": "harbour"}']
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    done = run("search", library, "--queries", "in.jsonl", "--out", "out.jsonl")
    assert done.returncode == 1
    assert f"{len(BADLY_TYPED)} of {len(lines)} queries failed" in done.stderr
    first, *failed, last = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    assert first["results"] == last["results"] != []
    codes = [(answer["error"]["code"], answer["results"]) for answer in failed]
    assert dict(zip(BADLY_TYPED, codes, strict=True)) == {field: (code, []) for field, code in BADLY_TYPED.items()}


def test_an_id_that_is_no_text_comes_back_as_it_was(run: Run, library: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": "\\ud800", "query": "harbour"}\n')
    done = run("search", library, "--queries", "in.jsonl", "--out", "out.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["id"] == "\ud800"


def test_a_bug_met_by_one_query_leaves_the_others_their_answers(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": 1, "query": "boom"}\n{"id": 2, "query": "harbour"}\n')
    with pixr.open(library, read_only=True) as opened:
        search = opened.search

        def fail(question: Ask, **options: Any) -> pixr.Hits:
            if question.query == "boom":
                raise KeyError("a bug")
            return search(question, **options)

        monkeypatch.setattr(opened, "search", fail)
        report = run_batch(opened, tmp_path / "in.jsonl", tmp_path / "out.jsonl", {})
    assert (report["queries"], report["failed"]) == (2, 1)
    failed, answered = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    assert failed["error"]["code"] == "internal"
    assert answered["results"]


def test_a_batch_that_is_not_utf_8_is_one_line_of_complaint(run: Run, library: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes('{"query": "harbour"}\n{"query": "café"}\n'.encode("latin-1"))
    done = run("search", library, "--queries", "in.jsonl", "--out", "out.jsonl")
    assert done.returncode == 1
    assert done.stderr == "pixr: error: in.jsonl, line 2: not UTF-8 [invalid_query]\n"
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(("queries", "out"), [("in.jsonl", "./in.jsonl"), ("in.jsonl", "link")])
def test_answers_never_replace_the_questions(run: Run, library: Path, tmp_path: Path, queries: str, out: str) -> None:
    (tmp_path / queries).write_text('{"query": "harbour"}')
    (tmp_path / "link").symlink_to(queries)
    done = run("search", library, "--queries", queries, "--out", out)
    assert done.returncode == 2
    assert "would replace the questions" in " ".join(done.stderr.split())
    assert (tmp_path / queries).read_text() == '{"query": "harbour"}'


def test_a_closed_standard_output_is_no_bug(library: Path) -> None:
    for arguments in (["search", str(library), "harbour", "--json"], ["info", str(library)]):
        command = 'exec "$@" >&-'
        done = subprocess.run(
            ["sh", "-c", command, "sh", *COMMAND, *arguments], capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_answers_go_to_standard_output_where_that_is_asked_for(run: Run, library: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"query": "harbour"}')
    (tmp_path / "out").symlink_to("/dev/fd/1")  # as /dev/stdout is
    done = run("search", library, "--queries", "in.jsonl", "--out", "out")
    assert done.returncode == 0
    assert json.loads(done.stdout)["results"]
    assert (tmp_path / "out").is_symlink()


def test_answers_follow_what_is_in_the_file_that_standard_output_leads_to(library: Path, tmp_path: Path) -> None:
    """`--out /dev/stdout >> all.jsonl` put a new file in the place of all earlier answers, and lost the report."""
    (tmp_path / "in.jsonl").write_text('{"query": "harbour"}')
    command = [*COMMAND, "search", str(library), "--queries", str(tmp_path / "in.jsonl"), "--out", "/dev/stdout"]
    for opened, earlier in (("a", ["earlier answers"]), ("w", [])):
        (tmp_path / "all.jsonl").write_text("earlier answers\n")
        with (tmp_path / "all.jsonl").open(opened) as out:
            subprocess.run([*command, "--json"], stdout=out, timeout=120, check=True)
        *before, answer, report = (tmp_path / "all.jsonl").read_text().splitlines()
        assert before == earlier
        assert json.loads(answer)["results"]
        assert json.loads(report)["queries"] == 1


def test_a_batch_that_is_not_json_leaves_no_answers(run: Run, library: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"query": "harbour"}\n{broken\n')
    done = run("search", library, "--queries", "in.jsonl", "--out", "out.jsonl")
    assert done.returncode == 1
    assert "line 2" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["films.pixr", "in.jsonl"]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--modes", "smell", "x"),
        ("--filter", "colour=red", "x"),
        ("--limit", "0", "x"),
        ("--min-score", "2", "x"),
        ("--queries", "in.jsonl"),
        ("--queries", "in.jsonl", "--out", "out.jsonl", "x"),
        ("--nonsense", "x"),
        ("--between", "nan..3", "x"),
        ("--like", "roof,nan,3"),
        ("--sheet", "absent/x.png", "x"),
        ("--html", "absent/x.html", "x"),
    ],
)
def test_misuse_leaves_with_2(run: Run, library: Path, arguments: tuple[str, ...]) -> None:
    done = run("search", library, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_an_error_is_one_line_unless_asked_for_more(run: Run) -> None:
    done = run("search", "nowhere.pixr", "x")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "nowhere.pixr" in done.stderr
    assert "[library_not_found]" in done.stderr
    assert "Traceback" in run("search", "nowhere.pixr", "x", "--debug").stderr


def test_a_reader_that_leaves_early_gets_no_complaint(run: Run, library: Path) -> None:
    import subprocess

    from tests.python.cli.process import COMMAND

    process = subprocess.Popen(
        [*COMMAND, "search", str(library), "harbour"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)
    assert complaint == b""


def test_a_place_that_cannot_be_written_is_refused_before_the_search(run: Run, library: Path, tmp_path: Path) -> None:
    """A file for --clip, and a folder for --sheet or --html, failed after the search with the system's words alone."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for option, place in (("--clip", "file"), ("--sheet", "folder"), ("--html", "folder")):
        done = run("search", library, "solar panels", option, place)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"Invalid value for {option}: {place} is a " in done.stderr


def test_a_video_that_is_not_there_is_named(run: Run, library: Path, tmp_path: Path) -> None:
    """A search within a video with a wrong id found nothing, as if the video had nothing of what was asked."""
    within = ("--video", "roof", "--video", "NOPE")
    (tmp_path / "in.jsonl").write_text('{"query": "panels"}\n')
    for asked in (("panels",), ("--queries", "in.jsonl", "--out", "out.jsonl")):
        refused = run("search", library, *asked, *within)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "NOPE" in refused.stderr
        assert "--videos` lists the ids [video_not_found]" in refused.stderr
        assert run("search", library, *asked, *within[:2]).returncode == 0


@pytest.mark.parametrize(("name", "format"), [("x.jpg", "JPEG"), ("x.JPEG", "JPEG"), ("x.png", "PNG"), ("x", "PNG")])
def test_a_sheet_has_the_format_of_its_name(run: Run, library: Path, tmp_path: Path, name: str, format: str) -> None:
    """`--sheet x.jpg` wrote a PNG of that name."""
    image = pytest.importorskip("PIL.Image")
    done = run("search", library, "panels", "--sheet", name)
    assert done.returncode == 0, done.stderr
    with image.open(tmp_path / name) as sheet:
        assert sheet.format == format


def test_a_sheet_of_no_known_format_is_refused_before_the_search(run: Run, library: Path, tmp_path: Path) -> None:
    refused = run("search", library, "panels", "--sheet", "x.html")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert ".png or .jpg" in refused.stderr
    assert not (tmp_path / "x.html").exists()


def test_faint_evidence_is_not_told_as_none(run: Run, tmp_path: Path) -> None:
    """It read "screen 0.00" beside a score above 0: one of two words on the screen is hardly ever what was meant."""
    with pixr.open(tmp_path / "signs.pixr") as opened:
        table = json.loads((Path(pixr.__file__).parent / "_embedded/calibration.json").read_text())
        opened._engine.set_calibration("screen", json.dumps(table["channels"]["screen"]["calibration"]))
        signs = {"video_id": ["a", "b"], "start": [0.0] * 2, "end": [2.0] * 2, "screen": ["HELLO", "world"]}
        opened.add_segments(pa.record_batch(signs))
    asked = ("search", "signs.pixr", "hello world", "--modes", "text", "--min-score", "0", "--explain")
    told = run(*asked).stdout
    assert "\tscreen <0.01: HELLO\n" in told
    assert "\t<0.001\t" in told
    (match, *_) = json.loads(run(*asked, "--json").stdout)["results"][0]["relevance"]["matches"]
    assert 0 < match["confidence"] < 0.001 < match["contribution"]


def test_a_narrow_terminal_gets_each_row_by_itself(run_on_terminal: Callable[..., Screen], library: Path) -> None:
    """Eight columns in the width of five made pieces of two and three letters, an id in three of them."""
    with pixr.open(library) as opened:
        opened.add_segments(
            pa.record_batch({"video_id": ["vid_0123456789abcdef0123"], "start": [0.0], "end": [1.0], "speech": ["sea"]})
        )
    for arguments, alone, whole in (
        (
            ("search", library, "solar panels", "--explain"),
            r"^contribution +0\.",
            ("contribution", "audio/speech", "0:00.0–0:05.0"),
        ),
        (("info", library, "--videos"), r"^id +vid_", ("vid_0123456789abcdef0123", "Solar install", "roof.mp4")),
    ):
        for width, is_table in ((40, False), (50, False), (120, True)):
            text = re.sub(r"\x1b\[[0-9;]*m", "", run_on_terminal(*arguments, COLUMNS=str(width)).text)
            assert all(word in text for word in whole), text
            assert (re.search(alone, text, re.MULTILINE) is None) == is_table, text
            assert all(len(line.rstrip()) <= width for line in text.splitlines() if not line.startswith("pixr:")), text
