"""Pulling: over redirects, through interruptions, never with other bytes than the first time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pixr.encoders import EncoderOptions, load_encoder, published_models
from pixr.encoders import registry as registry_module
from pixr.encoders.hub import Hub
from pixr.encoders.pull import pull, pulled_folder, read_lock, verify_pulled
from pixr.encoders.registry import PublishedModel
from pixr.errors import ModelDownloadFailed, ModelError, ModelNotFound
from tests.python.encoders.hub_server import COMMIT, FakeHub

LARGE = np.random.default_rng(5).bytes(300_000)
FILES = {"config.json": b"{}", "onnx/model.onnx": LARGE, "onnx/model_fp16.onnx": LARGE[:1000]}
MODEL = PublishedModel(
    "toy", "text", "someone/toy", "main", ("config.json", "onnx/model.onnx"), 1, 4, "MIT", "en", "tests",
    {"fp16": ("onnx/model_fp16.onnx",)},
)  # fmt: skip


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub(dict(FILES)) as served:
        yield served


def fetch(hub: FakeHub, model: PublishedModel = MODEL, **options: bool | str) -> None:
    pull(model, Hub(hub.url, wait_seconds=0.01), **options)  # type: ignore[arg-type]


def test_a_model_is_pulled_over_redirects_and_recorded(cache: Path, hub: FakeHub) -> None:
    told: list[tuple[str, int, int | None]] = []
    locked = pull(MODEL, Hub(hub.url), on_bytes=lambda *step: told.append(step))
    assert locked.commit == COMMIT
    assert {file.name: file.byte_len for file in locked.files} == {"config.json": 2, "onnx/model.onnx": 300_000}
    assert (pulled_folder("toy") / "onnx/model.onnx").read_bytes() == LARGE
    assert told[-1] == ("onnx/model.onnx", 300_000, 300_000)
    assert [status.problem for status in verify_pulled()] == [None, None]
    assert sorted(path.name for path in (cache / "models").iterdir()) == ["lock.json", "toy"]


def test_a_pulled_model_is_not_fetched_again(cache: Path, hub: FakeHub) -> None:
    fetch(hub)
    before = len(hub.requests)
    fetch(hub)
    fetch(hub, offline=True)
    assert len(hub.requests) == before


def test_an_interrupted_transfer_goes_on_where_it_broke(cache: Path, hub: FakeHub) -> None:
    hub.break_after, hub.breaks = 100_000, 2
    fetch(hub)
    ranges = [wanted for path, wanted in hub.requests if path == "onnx/model.onnx"]
    assert ranges == [None, "bytes=100000-", "bytes=200000-"]
    assert (pulled_folder("toy") / "onnx/model.onnx").read_bytes() == LARGE


def test_an_interrupted_run_goes_on_in_the_next(cache: Path, hub: FakeHub) -> None:
    hub.break_after, hub.breaks = 1000, 99
    with pytest.raises(ModelDownloadFailed) as caught:
        fetch(hub)
    assert caught.value.code == "model_download_failed"
    assert not pulled_folder("toy").exists()
    came = len(hub.requests) - 1  # the first was of the other file
    hub.breaks = 0
    fetch(hub)
    assert hub.requests[-1] == ("onnx/model.onnx", f"bytes={came * 1000}-")
    assert sum(path == "config.json" for path, _ in hub.requests) == 1
    assert hub.revisions[-1] == COMMIT  # the branch may have moved meanwhile


def test_a_file_that_changed_on_the_server_is_begun_anew(cache: Path, hub: FakeHub) -> None:
    hub.break_after, hub.breaks = 1000, 99
    with pytest.raises(ModelDownloadFailed):
        fetch(hub)
    hub.breaks = 0
    hub.files["onnx/model.onnx"] = LARGE[::-1]
    fetch(hub)
    assert (pulled_folder("toy") / "onnx/model.onnx").read_bytes() == LARGE[::-1]


def test_bytes_that_are_not_what_the_server_says_are_refused(cache: Path, hub: FakeHub) -> None:
    hub.say_sha256["onnx/model.onnx"] = "0" * 64
    with pytest.raises(ModelError, match="the server says 0000"):
        fetch(hub)
    assert not pulled_folder("toy").exists()
    assert read_lock() == {}


def test_a_later_pull_refuses_other_bytes_than_the_first(cache: Path, hub: FakeHub) -> None:
    fetch(hub)
    (pulled_folder("toy") / "onnx/model.onnx").unlink()
    hub.files["onnx/model.onnx"] = b"other"
    with pytest.raises(ModelError, match="length is 5 bytes, expected 300000"):
        fetch(hub)
    hub.files["onnx/model.onnx"] = LARGE
    fetch(hub)
    assert [status.problem for status in verify_pulled()] == [None, None]


def test_a_flipped_bit_is_found_and_only_that_file_fetched_again(cache: Path, hub: FakeHub) -> None:
    fetch(hub)
    path = pulled_folder("toy") / "onnx/model.onnx"
    path.write_bytes(bytes([LARGE[0] ^ 1]) + LARGE[1:])
    assert [(status.problem or "").partition(" ")[0] for status in verify_pulled()] == ["", "sha256"]
    with pytest.raises(ModelNotFound, match="offline"):
        fetch(hub, offline=True)
    before = len(hub.requests)
    fetch(hub)
    assert [path for path, _ in hub.requests[before:]] == ["onnx/model.onnx"]
    assert path.read_bytes() == LARGE


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_passing_refusal_is_tried_again(cache: Path, hub: FakeHub, code: int) -> None:
    hub.refuse = [code, code]
    fetch(hub)
    assert pulled_folder("toy").is_dir()


def test_a_missing_file_fails_at_once_and_is_named(cache: Path, hub: FakeHub) -> None:
    del hub.files["onnx/model.onnx"]
    with pytest.raises(ModelDownloadFailed, match=r"onnx/model.onnx: the server answered 404"):
        fetch(hub)
    assert len(hub.revisions) == 2


def test_no_connection_is_said_so(cache: Path) -> None:
    with pytest.raises(ModelDownloadFailed, match="no connection"):
        pull(MODEL, Hub("http://127.0.0.1:9", wait_seconds=0.001))
    with pytest.raises(ModelDownloadFailed, match="not http"):
        pull(MODEL, Hub("file:///etc"))


def test_another_precision_replaces_what_is_here(cache: Path, hub: FakeHub) -> None:
    fetch(hub)
    fetch(hub, precision="fp16")
    assert not (pulled_folder("toy") / "onnx/model.onnx").exists()
    assert read_lock()["toy"].precision == "fp16"
    with pytest.raises(ModelNotFound, match="fp32, fp16, not in q4"):
        fetch(hub, precision="q4")


def test_a_damaged_lock_is_an_error(cache: Path, hub: FakeHub) -> None:
    fetch(hub)
    (cache / "models/lock.json").write_text("{")
    with pytest.raises(ModelError, match=r"lock\.json"):
        fetch(hub)


def test_a_pulled_model_loads_by_name_with_what_its_entry_adds(
    cache: Path, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = recorded / "sentence-mean"
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    model = PublishedModel(
        "toy", "text", "someone/toy", "main", tuple(files), 1, 12, "MIT", "en", "-", text={"query_prefix": "query: "}
    )  # fmt: skip
    with FakeHub(files) as hub:
        fetch(hub, model)
    monkeypatch.setattr("pixr.encoders.load.published_models", lambda: [model])
    encoder = load_encoder("toy", EncoderOptions(threads=1, batch_size=4))
    assert encoder.space.name == "toy"
    plain = load_encoder(folder, EncoderOptions(threads=1, batch_size=4))
    np.testing.assert_allclose(encoder.encode_text(["a dog"]), plain.encode_text(["query: a dog"]), atol=1e-6)
    np.testing.assert_allclose(encoder.encode_documents(["a dog"]), plain.encode_text(["a dog"]), atol=1e-6)


def test_the_registry_names_a_dozen_models_of_every_kind() -> None:
    models = published_models()
    assert len(models) >= 12
    assert {model.kind for model in models} == {"visual", "text", "sound", "speech"}
    assert len({model.name for model in models}) == len(models)
    assert all(model.licence and model.languages and model.good_for and model.megabytes for model in models)
    assert all(any(path.endswith(".onnx") for path in model.files) for model in models if model.kind != "speech")


def test_a_path_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    text = (registry_module.EMBEDDED / "registry.toml").read_text()
    (tmp_path / "registry.toml").write_text(text.replace('"onnx/model.onnx"', '"../model.onnx"', 1))
    with pytest.raises(ModelError, match="leads out"):
        published_models(tmp_path)


def test_the_lock_is_plain_json(cache: Path, hub: FakeHub) -> None:
    fetch(hub)
    entry = json.loads((cache / "models/lock.json").read_text())["toy"]
    assert entry["repository"] == "someone/toy"
    assert entry["commit"] == COMMIT
    assert [set(file) for file in entry["files"]] == [{"name", "byte_len", "sha256"}] * 2
