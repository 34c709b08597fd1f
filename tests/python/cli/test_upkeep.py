"""`pixr info`, `check`, `compact`, `export`, `import`, `update`, `delete`, `models`, and help."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixr
from pixr.cli.app import app
from tests.python.cli.process import COMMAND, Run

COMMANDS = tuple(command.name or "" for command in app.registered_commands)
GROUPS = tuple(group.name or "" for group in app.registered_groups)


def test_info_counts_and_lists(run: Run, library: Path) -> None:
    assert json.loads(run("info", library, "--json").stdout)["videos"] == 2
    assert run("info", library).stdout
    listed = json.loads(run("info", library, "--videos", "--json").stdout)["videos"]
    assert {video["videoId"]: video["title"] for video in listed} == {"roof": "Solar install", "boat": "Sailing"}
    one = json.loads(run("info", library, "--video", "roof", "--json").stdout)
    assert [(segment["start"], segment["end"]) for segment in one["segments"]] == [(0.0, 5.0), (5.0, 10.0)]
    assert one["segments"][0]["texts"]["speech"] == "we mount the solar panels"
    assert "we mount the solar panels" in run("info", library, "--video", "roof").stdout
    missing = run("info", library, "--video", "nobody")
    assert missing.returncode == 1
    assert "[video_not_found]" in missing.stderr


def test_metadata_of_any_shape_is_shown_and_forges_no_line(run: Run, library: Path) -> None:
    """A list of objects and numbers was told as a bug, and a line break in a key began a line of its own."""
    metadata = {"mixed": [{"a": 1}, 2], "all": [{"b\nid": 3}], "x\nvideoId": "forged"}
    with pixr.open(library) as opened:
        opened.update("boat", metadata=metadata)
    shown = run("info", "films.pixr", "--video", "boat")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert "  mixed: {'a': 1}, 2" in lines
    assert "  x videoId: forged" in lines
    assert "    - b id 3" in lines


def test_deleting_takes_out_of_results_and_an_unknown_id_fails(run: Run, library: Path) -> None:
    done = run("delete", library, "roof", "nobody", "--json")
    assert done.returncode == 1
    rows = {row["videoId"]: row["deleted"] for row in json.loads(done.stdout)["videos"]}
    assert rows == {"roof": True, "nobody": False}
    assert json.loads(run("search", library, "solar", "--json").stdout)["results"] == []
    assert "1 video deleted" in run("delete", library, "boat", "nobody").stderr
    receipt = run("compact", library, "--json")
    assert receipt.returncode == 0, receipt.stderr
    assert isinstance(json.loads(receipt.stdout), dict)


def test_an_export_makes_an_equal_library(run: Run, library: Path, tmp_path: Path) -> None:
    out = json.loads(run("export", library, "films.parquet", "--json").stdout)
    assert out["videos"] == 2
    assert out["bytes"] == (tmp_path / "films.parquet").stat().st_size
    assert run("import", "copy.pixr", "films.parquet").returncode == 0

    def answer(where: str | Path) -> object:
        return json.loads(run("search", where, "solar panels", "--json", "--explain").stdout)["results"]

    assert answer("copy.pixr") == answer(library)


def test_importing_something_else_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "not.parquet").write_text("hello")
    done = run("import", "copy.pixr", "not.parquet")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert run("import", "copy.pixr", "absent.parquet").returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["not.parquet"], "no library is made"


def test_the_file_of_another_program_is_imported_by_the_names_that_it_has(run: Run, tmp_path: Path) -> None:
    """It was refused, and left an empty library behind."""
    vectors = pa.array([[1.0, 0.0], [0.0, 1.0]], pa.list_(pa.float32(), 2))
    clips = pa.table({"clip": ["a", "b"], "start": [0, 0], "to": [5, 8], "vector": vectors, "rating": [1, 2]})
    pq.write_table(clips, tmp_path / "clips.parquet")
    refused = run("import", "new.pixr", "clips.parquet")
    assert refused.returncode == 1
    assert "the file has clip (string), start (int64), to (int64), vector (" in refused.stderr
    empty = clips.set_column(3, "vector", pa.array([[1.0, 0.0], [0.0, 0.0]], pa.list_(pa.float32(), 2)))
    pq.write_table(empty, tmp_path / "empty.parquet")
    names = ["--column", "video_id=clip", "--column", "start", "--column", "end=to", "--column", "frame=vector"]
    refused = run("import", "new.pixr", "empty.parquet", *names)
    assert (refused.returncode, "[invalid_vector]" in refused.stderr) == (1, True)
    assert not (tmp_path / "new.pixr").exists()
    done = run("import", "new.pixr", "clips.parquet", "--json", *names)
    assert json.loads(done.stdout)["videos"] == 2
    assert done.stderr == "pixr: left out of clips.parquet: rating\n"


@pytest.mark.parametrize("columns", [["start="], ["=clip"], ["start=a", "start=b"]])
def test_names_of_columns_that_say_nothing_are_misuse(run: Run, tmp_path: Path, columns: list[str]) -> None:
    done = run("import", "new.pixr", "clips.parquet", *(f"--column={column}" for column in columns))
    assert done.returncode == 2
    assert "--column" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_check_names_a_damaged_file(run: Run, library: Path) -> None:
    assert run("compact", library).returncode == 0
    assert json.loads(run("check", library, "--json").stdout)["damaged"] == []
    part = max(
        (path for path in (library / "parts").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 0x40
    part.write_bytes(content)
    done = run("check", library, "--json")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert part.name in done.stdout + done.stderr


def test_an_empty_name_of_a_folder_is_not_the_current_one(run: Run, library: Path, tmp_path: Path) -> None:
    """`pixr index "$UNSET" …` made a library of the current folder."""
    for arguments in (["index", "", library], ["restore", library, ""], ["repair", library, ""]):
        refused = run(*arguments)
        assert refused.returncode == 2
        assert "the name of a folder is empty" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == [library.name]


def test_models_are_listed_and_whole(run: Run) -> None:
    models = json.loads(run("models", "list", "--json").stdout)["models"]
    assert models
    assert sum(model["bytes"] for model in models) < 45e6
    verified = run("models", "verify", "--json")
    assert verified.returncode == 0, verified.stdout
    assert all(file["problem"] is None for file in json.loads(verified.stdout)["files"])
    here = models[0]["name"]
    assert run("models", "pull", here).returncode == 0
    unknown = run("models", "pull", "giant-9000")
    assert unknown.returncode == 1
    assert here in unknown.stderr
    assert "[model_not_found]" in unknown.stderr


def test_the_speech_model_is_listed_and_verified(run: Run, tmp_path: Path) -> None:
    """It is the one model that is fetched by itself, and neither said a word of it, even where it was damaged."""

    def listed() -> dict[str, Any]:
        published = json.loads(run("models", "list", "--json", PIXR_CACHE_DIR="cache").stdout)["published"]
        (found,) = [model for model in published if model["name"] == "whisper-tiny.en"]
        return dict(found)

    assert (listed()["pulled"], listed()["megabytes"], listed()["licence"]) == (None, 78, "MIT")
    assert "whisper-tiny.en" not in run("models", "verify", PIXR_CACHE_DIR="cache").stdout, "it was not fetched"
    folder = tmp_path / "cache/models/whisper-tiny.en"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert listed()["pulled"] == "fp16"
    broken = run("models", "verify", PIXR_CACHE_DIR="cache")
    assert broken.returncode == 1
    assert re.search(r"^whisper-tiny.en\tconfig.json\thas SHA-256 \w+, expected 14b1b421", broken.stdout, re.MULTILINE)
    assert "whisper-tiny.en\tmodel.bin\tis missing\n" in broken.stdout


def test_update_changes_what_is_given_and_leaves_the_rest(run: Run, library: Path) -> None:
    """The warning of `pixr index` named `Library.update`, and the command line had nothing like it."""
    done = run("update", library, "boat", "--title", "Regatta", "--tag", "race", "--metadata", "crew=4", "--json")
    assert done.returncode == 0, done.stderr
    changed = json.loads(done.stdout)
    assert (changed["title"], changed["tags"], changed["metadata"]) == ("Regatta", ["race"], {"year": 2020, "crew": 4})
    found = json.loads(run("search", library, "regatta", "--json").stdout)["results"]
    assert [hit["videoId"] for hit in found] == ["boat"]
    assert run("update", library, "boat", "--tag", "").returncode == 0
    after = json.loads(run("info", library, "--video", "boat", "--json").stdout)
    assert (after["title"], after["tags"]) == ("Regatta", [])


def test_update_refuses_an_unknown_video_and_an_order_without_changes(run: Run, library: Path) -> None:
    unknown = run("update", library, "plane", "--title", "x")
    assert unknown.returncode == 1
    assert unknown.stderr.startswith('pixr: error: no video "plane"')
    assert unknown.stderr.endswith("[video_not_found]\n")
    nothing = run("update", library, "boat")
    assert nothing.returncode == 2
    assert "nothing to change" in nothing.stderr
    elsewhere = run("update", "nowhere.pixr", "boat", "--title", "x")
    assert "[library_not_found]" in elsewhere.stderr
    assert not (library.parent / "nowhere.pixr").exists()


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("search", "nowhere.pixr", "solar"), "`pixr index` makes a new one [library_not_found]"),
        (("transcript", "films.pixr", "plane"), "`pixr info LIBRARY --videos` lists the ids [video_not_found]"),
        (("delete", "films.pixr", "plane"), "`pixr info LIBRARY --videos` lists the ids [video_not_found]"),
        (
            ("search", "films.pixr", "solar", "--snapshot", "x"),
            "`pixr snapshot list LIBRARY` lists them [snapshot_not_found]",
        ),
    ],
)
def test_an_error_says_what_to_do_next(run: Run, library: Path, arguments: tuple[str, ...], advice: str) -> None:
    """What was not there was named, and nothing said where to find what is."""
    assert library.name == "films.pixr"
    assert run(*arguments).stderr.splitlines()[0].endswith(advice)


def test_an_error_of_the_system_has_a_code(run: Run, library: Path) -> None:
    """`[Errno 28] No space left on device` came without one."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "info", str(library)], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert done.stderr.endswith("No space left on device [io]\n")


def test_a_transcript_without_words_says_so(run: Run, tmp_path: Path) -> None:
    """Nothing at all was printed, as if the command had not run."""
    with pixr.open(tmp_path / "quiet.pixr") as opened:
        opened.add_segments(pa.record_batch({"video_id": ["a"], "start": [0.0], "end": [1.0], "screen": ["Roof"]}))
    done = run("transcript", "quiet.pixr", "a")
    assert (done.returncode, done.stdout) == (0, "")
    assert "warning: nothing is said in a" in done.stderr


def test_the_speech_model_is_pulled_as_its_error_says(run: Run, tmp_path: Path) -> None:
    """What is missing offline was said to be fetched by `pixr models pull whisper-tiny.en`, a name it didn't know."""
    pulled = run("models", "pull", "whisper-tiny.en", "--json")
    if "[speech_unavailable]" in pulled.stderr:
        pytest.skip(f"no speech weights on this machine: {pulled.stderr}")
    assert pulled.returncode == 0, pulled.stderr
    assert (Path(json.loads(pulled.stdout)["folder"]) / "model.bin").is_file()
    offline = run("models", "pull", "whisper-tiny.en", "--offline", PIXR_CACHE_DIR=str(tmp_path / "nothing"))
    assert offline.returncode == 1
    assert offline.stderr.endswith("`pixr models pull whisper-tiny.en` fetches it [speech_unavailable]\n")


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPS])
def test_every_command_explains_itself(run: Run, command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert "Usage: " in done.stdout
    assert command == "serve" or command in GROUPS or "--json" in done.stdout


def test_help_keeps_its_examples_in_lines(run: Run) -> None:
    lines = [line.strip() for line in run("search", "--help").stdout.splitlines()]
    assert 'pixr search films.pixr "a dog on the beach"' in lines


def test_the_shell_completes_commands(run: Run) -> None:
    words = run(_PIXR_COMPLETE="complete_bash", COMP_WORDS="pixr in", COMP_CWORD="1").stdout.split()
    assert words == ["index", "info"]


def test_version_is_the_package_s(run: Run) -> None:
    from importlib.metadata import version

    assert run("--version").stdout == f"pixr {version('pixr')}{os.linesep}"
