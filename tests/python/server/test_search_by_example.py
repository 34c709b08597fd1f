"""Whatever the library can be asked can be asked over HTTP: by moment, picture, sound and clip, within and between."""

from __future__ import annotations

import http.server
import io
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic_core import to_json
from starlette.testclient import TestClient

import pixr
from pixr.server.state import ServerState
from pixr.wire import hits_to_dict
from tests.python.clips import make_clip
from tests.python.server.conftest import state_of
from tests.python.server.partner import Partner, code_of

pytest.importorskip("av")


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two videos of coloured shots and the library of both."""
    folder = tmp_path_factory.mktemp("films")
    with pixr.open(folder / "films.pixr") as library:
        for name, words in (("colours", ["one", "two"]), ("others", ["three"])):
            clip = make_clip(folder / f"{name}.mp4", words, seconds=1.0)
            library.add(clip, id=name, title=name, tags=[name], speech=False, screen=False)
    return folder


@pytest.fixture
def films(join: Callable[..., Partner], server: ServerState, indexed: Path) -> Partner:
    """An organization with that library."""
    partner = join("Films")
    shutil.copytree(indexed / "films.pixr", server.libraries.path(partner.organization))
    return partner


def agree(partner: Partner, server: ServerState, response: Any, question: Any = None, **arguments: Any) -> list[str]:
    """The ids found, after the answer was compared, byte by byte, with that of the Python call."""
    assert response.status_code == 200, response.text
    got = json.loads(response.content)
    with pixr.open(server.libraries.path(partner.organization), read_only=True) as library:
        expected = hits_to_dict(library.search(question, **{"facets": True} | arguments))
    for name in ("timing", "searchId"):
        expected[name] = got[name]
    for mine, told in zip(expected["results"], got["results"], strict=True):
        mine["thumbnailUrl"] = told["thumbnailUrl"]
    assert to_json({name: expected[name] for name in sorted(expected)}) == to_json(
        {name: got[name] for name in sorted(got)}
    )
    return [one["videoId"] for one in got["results"]]


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        ({"query": "solar harbour", "video": "roof"}, {"query": "solar harbour", "video": "roof"}),
        ({"query": "solar harbour", "video": ["boat", "x"]}, {"query": "solar harbour", "video": ["boat", "x"]}),
        ({"query": "solar", "between": [0, 4]}, {"query": "solar", "between": (0, 4)}),
        ({"query": "solar cables", "diversity": 0.5}, {"query": "solar cables", "diversity": 0.5}),
        ({"query": "solar", "effort": 10, "total": "found"}, {"query": "solar", "effort": 10, "total": "found"}),
        ({"query": "solar", "while": "solar panels"}, {"query": pixr.while_("solar", "solar panels")}),
        ({"query": "solar", "not": "harbour"}, {"query": pixr.without("solar", "harbour")}),
        (
            {"query": "mount", "then": {"query": "cables", "modes": ["audio"]}, "within": 3},
            {"query": pixr.then("mount", pixr.ask("cables", modes=["audio"]), within=3)},
        ),
        (
            {"blend": [["solar", 1], ["harbour", -0.5]], "modes": ["audio"]},
            {"query": pixr.blend("solar", ("harbour", -0.5)), "modes": ["audio"]},
        ),
    ],
)
def test_scopes_and_relations_are_those_of_the_python_call(
    acme: Partner, server: ServerState, body: dict[str, Any], arguments: dict[str, Any]
) -> None:
    question = arguments.pop("query")
    assert agree(acme, server, acme.post("/v1/search", json=body), question, **arguments)


def test_more_like_a_moment_also_as_a_part_of_a_question(films: Partner, server: ServerState) -> None:
    like = {"videoId": "colours", "start": 0.0, "end": 1.0}
    asked = {"like": like, "minScore": 0.0, "modes": ["visual"]}
    found = agree(
        films,
        server,
        films.post("/v1/search", json=asked),
        like=("colours", 0.0, 1.0),
        min_score=0.0,
        modes=["visual"],
    )
    assert "others" in found
    related = {"query": "colours", "not": {"like": like}, "modes": ["visual"], "minScore": 0.0}
    without = pixr.without("colours", pixr.ask(like=("colours", 0.0, 1.0)))
    agree(films, server, films.post("/v1/search", json=related), without, min_score=0.0, modes=["visual"])
    nobody = films.post("/v1/search", json={"like": like | {"videoId": "nobody"}})
    assert (nobody.status_code, code_of(nobody)) == (404, "VIDEO_NOT_FOUND")
    wrong = films.post("/v1/search", json={"like": {"videoId": "colours", "start": -1, "end": 1}})
    assert wrong.json()["errors"][0]["pointer"] == "/like/start"


def test_facets_may_pass_over_their_own_filter(acme: Partner, server: ServerState) -> None:
    asked = {"query": "solar harbour", "minScore": 0.0, "filters": {"tags": ["sea"]}}
    usual = acme.post("/v1/search", json=asked).json()
    assert usual["facets"]["tags"] == {"sea": 1}
    others = acme.post("/v1/search", json=asked | {"facets": {"mode": "disjunctive"}})
    agree(acme, server, others, "solar harbour", min_score=0.0, filters={"tags": ["sea"]}, facet_mode="disjunctive")
    assert others.json()["facets"]["tags"] == {"diy": 1, "sea": 1}
    assert {name: counts for name, counts in others.json()["facets"].items() if name != "tags"} == {
        name: counts for name, counts in usual["facets"].items() if name != "tags"
    }
    assert [one["videoId"] for one in others.json()["results"]] == ["boat"]
    named = acme.post("/v1/search", json=asked | {"facets": {"mode": "disjunctive", "names": ["tags"]}}).json()
    assert named["facets"] == {"tags": {"diy": 1, "sea": 1}}


def picture(colour: tuple[int, int, int] = (180, 40, 40)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (320, 240), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_and_a_clip_find_what_the_python_call_finds(
    films: Partner, server: ServerState, indexed: Path
) -> None:
    asked = {"request": json.dumps({"minScore": 0.0, "modes": ["visual"]})}
    options: dict[str, Any] = {"min_score": 0.0, "modes": ["visual"]}
    answer = films.post("/v1/search/file", files={"image": picture()}, data=asked)
    assert agree(films, server, answer, image=picture(), **options)
    clip = (indexed / "others.mp4").read_bytes()
    answer = films.post("/v1/search/file", files={"clip": clip}, data=asked)
    assert agree(films, server, answer, clip=clip, **options)[0] == "others"
    both = {"request": json.dumps({"not": "harbour", "minScore": 0.0, "modes": ["visual"]})}
    answer = films.post("/v1/search/file", files={"image": picture()}, data=both)
    assert agree(films, server, answer, pixr.without(pixr.ask(image=picture()), "harbour"), **options)
    for kind in ("audio", "clip"):
        broken = films.post("/v1/search/file", files={kind: b"this is no media at all" * 100}, data=asked)
        assert (broken.status_code, code_of(broken)) in ((422, "UNREADABLE_VIDEO"), (422, "INVALID_QUERY")), broken.text


def test_a_sound_finds_what_is_said_in_it(acme: Partner, server: ServerState, tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng, which speaks the sentence, is not installed")
    subprocess.run(["espeak-ng", "-s", "140", "-w", str(tmp_path / "said.wav"), "the harbour at dawn"], check=True)
    sound = (tmp_path / "said.wav").read_bytes()
    answer = acme.post("/v1/search/file", files={"audio": sound}, data={"request": '{"modes": ["audio"]}'})
    assert agree(acme, server, answer, audio=sound, modes=["audio"]) == ["boat"]


@pytest.fixture
def linked() -> Iterator[str]:
    """The URL of a picture on this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/red.png" else 404)
            self.end_headers()
            self.wfile.write(picture() if self.path == "/red.png" else b"")

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as there:
        threading.Thread(target=there.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{there.server_port}/red.png"
        there.shutdown()


def test_a_link_is_fetched_from_public_addresses_alone(
    films: Partner, linked: str, start: Callable[..., TestClient]
) -> None:
    asked = {"image": {"url": linked}, "minScore": 0.0, "modes": ["visual"]}
    refused = films.post("/v1/search", json=asked)
    assert (refused.status_code, code_of(refused)) == (422, "URL_REFUSED")
    open_to_it = start(allowed_networks=["127.0.0.0/8"])
    partner = Partner(open_to_it, films.organization, films.key, films.secret)
    answer = partner.post("/v1/search", json=asked)
    assert agree(partner, state_of(open_to_it), answer, image=picture(), min_score=0.0, modes=["visual"])
    gone = partner.post("/v1/search", json=asked | {"image": {"url": linked + "x"}})
    assert (gone.status_code, code_of(gone)) == (422, "UNREADABLE_VIDEO")


def test_what_a_killed_server_fetched_for_a_question_is_removed(
    films: Partner, linked: str, start: Callable[..., TestClient], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures that people had asked with stayed in the temporary directory."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed = """
import os, signal, sys
from pathlib import Path
from pixr.scratch import scratch_folder

with scratch_folder(Path(sys.argv[1]), "pixr-question-") as folder:
    (folder / "image").write_bytes(b"x")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False).returncode == -signal.SIGKILL
    assert list(tmp_path.glob("pixr-question-*/image"))
    open_to_it = start(allowed_networks=["127.0.0.0/8"])
    partner = Partner(open_to_it, films.organization, films.key, films.secret)
    asked = {"image": {"url": linked}, "minScore": 0.0, "modes": ["visual"]}
    assert partner.post("/v1/search", json=asked).status_code == 200
    assert not list(tmp_path.glob("pixr-question-*"))
