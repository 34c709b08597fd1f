"""A folder is read in whatever layout it has, and one that fits nothing is told what was looked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pixr.encoders import EncoderOptions, load_encoders
from pixr.encoders.null_cosines import calibrate_texts
from pixr.encoders.protocol import ImageEncoder, SoundEncoder
from pixr.encoders.published import describe_folder, load_folder
from pixr.encoders.published.tuning import least
from pixr.encoders.published.weights import choose_weights
from pixr.errors import ModelError, ModelNotFound

OPTIONS = EncoderOptions(threads=1, batch_size=2)


def test_a_folder_that_fits_nothing_says_what_was_looked_for_and_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"?")
    with pytest.raises(ModelError) as caught:
        describe_folder(tmp_path)
    said = str(caught.value)
    assert all(word in said for word in ("pixr.toml", "visual/model.onnx", "onnx/text_model*.onnx", "weights.bin"))
    assert caught.value.code == "model_invalid"


@pytest.mark.parametrize(
    ("model", "missing", "named"),
    [
        ("clip", "preprocessor_config.json", "preprocessor_config.json"),
        ("clip", "onnx/vision_model*", "vision_model"),
        ("clap-fused", "onnx/audio_model.onnx", "audio_model"),
        ("open-clip", "visual/preprocess_cfg.json", "preprocess_cfg.json"),
        ("open-clip", "textual/model.onnx", "textual"),
    ],
)
def test_a_missing_file_is_named(recorded: Path, tmp_path: Path, model: str, missing: str, named: str) -> None:
    folder = Path(shutil.copytree(recorded / model, tmp_path / "model"))
    for path in folder.glob(missing):
        path.unlink()
    with pytest.raises(ModelError, match=named):
        load_folder(folder, OPTIONS)


@pytest.mark.parametrize("text", ["", "[]", "{"])
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer.json", "onnx/text_model.onnx"])
def test_a_damaged_file_is_a_model_error(recorded: Path, tmp_path: Path, name: str, text: str) -> None:
    folder = Path(shutil.copytree(recorded / "clip", tmp_path / "model"))
    (folder / name).write_text(text)
    with pytest.raises(ModelError):
        load_folder(folder, OPTIONS)


@pytest.mark.parametrize(
    "values",
    [
        {"size": "large"},
        {"size": {"height": -3, "width": 2}},
        {"resample": 9},
        {"image_mean": [1, 2]},
        {"crop_size": True},
    ],
)
def test_a_setting_of_another_kind_is_a_model_error(recorded: Path, tmp_path: Path, values: dict[str, object]) -> None:
    folder = Path(shutil.copytree(recorded / "clip", tmp_path / "model"))
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    with pytest.raises(ModelError, match=r"preprocessor_config\.json: "):
        load_folder(folder, OPTIONS)


def test_a_manifest_states_everything(recorded: Path, tmp_path: Path) -> None:
    published = load_folder(recorded / "clip", OPTIONS)
    for source, name in (("onnx/text_model.onnx", "words"), ("onnx/vision_model.onnx", "pictures")):
        shutil.copyfile(recorded / "clip" / source, tmp_path / f"{name}.onnx")
    shutil.copyfile(recorded / "clip" / "tokenizer.json", tmp_path / "tokens.json")
    (tmp_path / "pixr.toml").write_text(
        """
        [model]
        name = "mine"
        family = "clip"
        [text]
        file = "words.onnx"
        tokenizer = "tokens.json"
        max_tokens = 20
        pad_token = "<|endoftext|>"
        [picture]
        file = "pictures.onnx"
        height = 32
        width = 32
        mean = [0.48145466, 0.4578275, 0.40821073]
        std = [0.26862954, 0.26130258, 0.27577711]
        """
    )
    mine = load_folder(tmp_path, OPTIONS)
    assert isinstance(mine, ImageEncoder)
    assert isinstance(published, ImageEncoder)
    assert mine.space.name == "mine"
    texts = ["a dog", "two words"]
    np.testing.assert_allclose(mine.encode_text(texts), published.encode_text(texts), atol=1e-6)
    picture = np.random.default_rng(1).integers(0, 256, (40, 77, 3), dtype=np.uint8)
    np.testing.assert_allclose(mine.encode_images([picture]), published.encode_images([picture]), atol=1e-6)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("maximal = 3", "maximal"),
        ('padding = "left"', "longest"),
        ('max_tokens = "many"', "wrong kind"),
        ('file = "elsewhere.onnx"', "no such file"),
    ],
)
def test_a_manifest_with_a_mistake_says_which(tmp_path: Path, line: str, said: str) -> None:
    values = {"file": '"a.onnx"', "tokenizer": '"a.onnx"', "max_tokens": "3"}
    values |= {line.partition(" = ")[0]: line.partition(" = ")[2]}
    (tmp_path / "a.onnx").touch()
    (tmp_path / "pixr.toml").write_text("[text]\n" + "\n".join(f"{key} = {value}" for key, value in values.items()))
    with pytest.raises(ModelError, match=said):
        describe_folder(tmp_path)


def test_the_version_of_a_space_changes_with_its_files(recorded: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(recorded / "clip", tmp_path / "clip"))
    before = load_folder(folder, OPTIONS).space
    assert load_folder(recorded / "clip", OPTIONS).space.version == before.version
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_mean": [0.5, 0.5, 0.5]}))
    assert load_folder(folder, OPTIONS).space.version != before.version


def test_full_precision_is_taken_on_a_processor_and_half_on_a_gpu(tmp_path: Path) -> None:
    for suffix in ("", "_fp16", "_quantized", "_q4"):
        (tmp_path / f"text_model{suffix}.onnx").write_bytes(b"x" * 10)
    assert choose_weights([tmp_path], ["text_model"]) == (tmp_path / "text_model.onnx", "fp32")
    assert choose_weights([tmp_path], ["text_model"], gpu=True) == (tmp_path / "text_model_fp16.onnx", "fp16")
    assert choose_weights([tmp_path], ["text_model"], "q4") == (tmp_path / "text_model_q4.onnx", "q4")
    (tmp_path / "text_model.onnx").unlink()
    assert choose_weights([tmp_path], ["text_model"]) == (tmp_path / "text_model_quantized.onnx", "int8")
    with pytest.raises(ModelNotFound, match="text_model_fp16"):
        choose_weights([tmp_path], ["text_model"], "fp32")


def test_weights_that_would_fill_the_memory_are_passed_over(tmp_path: Path) -> None:
    with (tmp_path / "model.onnx").open("wb") as file:
        file.truncate(8 << 40)  # sparse: 8 TiB by its length, nothing on disk
    (tmp_path / "model_quantized.onnx").write_bytes(b"x")
    assert choose_weights([tmp_path], ["model"]) == (tmp_path / "model_quantized.onnx", "int8")


def test_each_model_fills_what_it_can_and_two_for_the_same_are_refused(recorded: Path) -> None:
    names = [recorded / "siglip", recorded / "sentence-multilingual", recorded / "clap-fused"]
    encoders = load_encoders(names, OPTIONS)
    assert isinstance(encoders.visual, ImageEncoder)
    assert isinstance(encoders.sound, SoundEncoder)
    assert {channel: one.space.dimension for channel, one in encoders.by_channel.items()} == {
        "frame": 8, "metadata": 12, "speech": 12, "sound": 12,
    }  # fmt: skip
    with pytest.raises(ModelError, match="same channel"):
        load_encoders([recorded / "siglip", recorded / "clip"], OPTIONS)


def test_a_model_that_was_not_pulled_says_how_to_get_it(cache: Path) -> None:
    with pytest.raises(ModelNotFound, match="pixr models pull clip-vit-b32"):
        load_encoders("clip-vit-b32")


def test_what_was_measured_is_remembered(recorded: Path, cache: Path) -> None:
    first = load_folder(recorded / "sentence-mean", EncoderOptions())
    stored = json.loads((cache / "tuning.json").read_text())
    assert len(stored) == 1
    (key,) = stored
    stored[key] = [1, 16]
    (cache / "tuning.json").write_text(json.dumps(stored))
    second = load_folder(recorded / "sentence-mean", EncoderOptions())
    assert second.options.rows_a_call == 16
    assert second.options.threads == 1
    assert first.space == second.space
    assert load_folder(recorded / "sentence-mean", EncoderOptions(batch_size=3)).options.rows_a_call == 3


def test_a_larger_setting_must_win_by_a_tenth() -> None:
    assert least({1: 1.0, 2: 0.95, 4: 0.91}) == 1
    assert least({1: 1.0, 2: 0.5, 4: 0.49}) == 2
    assert least({1: 1.0, 2: 1.2, 4: 0.3}) == 4


def test_unrelated_texts_calibrate_the_embedded_model_as_it_was_fitted() -> None:
    text = load_encoders("embedded", EncoderOptions(threads=1)).text
    curve = calibrate_texts(text)
    assert abs(curve["center"] - 0.5) < 0.03
    assert abs(curve["slope"] - 10.4) < 1.0
