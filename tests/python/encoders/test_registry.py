"""The registry names every embedded file, and verifying finds one changed bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pixr import calibration
from pixr.encoders import EncoderOptions, Encoders, Space, list_models, load_encoders, verify_models
from pixr.encoders.registry import EMBEDDED, REGISTRY_FILE
from pixr.errors import ModelError, ModelNotFound

LIMIT_BYTES = 45_000_000


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EMBEDDED, tmp_path / "models"))


def test_embedded_models_are_whole() -> None:
    statuses = verify_models()
    assert len(statuses) == 4
    assert [status.problem for status in statuses] == [None] * 4


def test_every_embedded_file_is_registered() -> None:
    registered = {file.name for model in list_models() for file in model.files}
    assert {path.name for path in EMBEDDED.iterdir()} == registered | {REGISTRY_FILE, calibration.FILE_NAME}


def test_embedded_models_stay_small() -> None:
    assert sum(model.byte_len for model in list_models()) <= LIMIT_BYTES


def test_registry_names_the_spaces_of_the_encoders(encoders: Encoders) -> None:
    spaces = {model.kind: model.space for model in list_models()}
    assert spaces == {"visual": encoders.visual.space, "text": encoders.text.space}
    assert encoders.text.space == Space("minilm", "1", 384)


def test_verify_finds_a_flipped_bit(copied: Path) -> None:
    path = copied / "concepts.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    damaged = [status for status in verify_models(copied) if status.problem is not None]
    assert [status.path for status in damaged] == [path]
    assert damaged[0].problem is not None
    assert damaged[0].problem.startswith("sha256 is ")


def test_verify_finds_truncated_and_missing_files(copied: Path) -> None:
    first, second, *_ = [status.path for status in verify_models(copied)]
    first.write_bytes(first.read_bytes()[:-1])
    second.unlink()
    problems = [status.problem or "" for status in verify_models(copied)]
    assert problems[0].startswith("length is ")
    assert problems[1].startswith("cannot be read: ")
    assert problems[2:] == ["", ""]


@pytest.mark.parametrize("text", ["", "[[model]]\nname = 'x'\n", "not toml", "model = 3"])
def test_damaged_registry_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / REGISTRY_FILE).write_text(text)
    with pytest.raises(ModelError, match=REGISTRY_FILE):
        list_models(tmp_path)


def test_registry_may_not_point_out_of_its_folder(copied: Path) -> None:
    path = copied / REGISTRY_FILE
    path.write_text(path.read_text().replace('"concepts.npz"', '"../concepts.npz"'))
    with pytest.raises(ModelError, match="plain file name"):
        list_models(copied)


def test_folder_without_registry_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=REGISTRY_FILE):
        list_models(tmp_path)


def test_unknown_model_is_an_error_that_names_the_known() -> None:
    with pytest.raises(ModelNotFound, match="known: embedded") as caught:
        load_encoders("no-such-model")
    assert caught.value.code == "model_not_found"


def test_embedded_loads_by_name() -> None:
    assert load_encoders("embedded", EncoderOptions(threads=1)).visual.space == Space("concepts", "1", 1001)
