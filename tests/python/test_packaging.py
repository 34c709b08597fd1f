"""What the package promises about itself: its extras, and what importing it costs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import files, metadata
from pathlib import Path

import pixr

PACKAGE = Path(pixr.__file__).parent
ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def test_every_extra_that_an_error_names_exists() -> None:
    """The README lists them; it left out those of sound and of the server."""
    named = {
        extra
        for path in PACKAGE.rglob("*.py")
        for extra in re.findall(r"""MissingExtra\([^,()]+, "(\w+)"[,)]""", path.read_text(encoding="utf-8"))
    }
    assert {"encoders", "media", "screen", "speech"} <= named
    there = set(metadata("pixr").get_all("Provides-Extra") or ())
    assert named <= there
    (listed,) = re.findall(r"its error names it \((.*?)\)", README.read_text(encoding="utf-8"), re.DOTALL)
    assert named <= set(re.findall(r"\[(\w+)\]", listed)) <= there


def test_importing_loads_no_media_or_model_library() -> None:
    models = ["ctranslate2", "faster_whisper", "onnxruntime", "rapidocr", "tokenizers"]
    heavy = [*models, "av", "cv2", "numpy", "PIL", "pyarrow", "rich", "typer"]
    code = f"import sys, pixr; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_the_models_are_as_long_as_their_table_says() -> None:
    """The text model was made anew, and the table kept the length of the one before."""
    told = (ROOT / "models" / "README.md").read_text(encoding="utf-8")
    lengths = {
        name: int(length.replace(",", ""))
        for name, length in re.findall(r"^\| `(\S+)` \| ([\d,]+) \|", told, re.MULTILINE)
    }
    assert len(lengths) == 4
    models = PACKAGE / "_embedded"
    assert lengths == {name: (models / name).stat().st_size for name in lengths}
    (megabytes,) = re.findall(r"All files together: (\d+) MB", told)
    assert int(megabytes) == round(sum(path.stat().st_size for path in models.iterdir()) / 1e6)


def test_the_package_is_typed_and_carries_its_models() -> None:
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "_engine.pyi").exists()
    assert (PACKAGE / "_embedded" / "registry.toml").exists()
    assert sum(path.stat().st_size for path in (PACKAGE / "_embedded").iterdir()) < 45e6


def test_the_licences_go_with_the_package() -> None:
    carried = {path.name for path in files("pixr") or () if "licenses" in path.parts}
    assert carried == {"LICENSE", "Apache-2.0.txt", "WordNet-3.0.txt"}


def test_a_source_distribution_has_all_that_cargo_asks_for(tmp_path: Path) -> None:
    """No wheel could be built from one: cargo refuses a crate without the benches that its manifest names."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["maturin", "sdist", "--out", tmp_path], cwd=ROOT, env={**os.environ, "PATH": path}, check=True)
    (packed,) = tmp_path.glob("pixr-*.tar.gz")
    with tarfile.open(packed) as archive:
        there = {name.partition("/")[2] for name in archive.getnames()}
    asked = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    told = json.loads(subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    targets = [target for package in told["packages"] for target in package["targets"]]
    sources = {Path(one["src_path"]).relative_to(ROOT).as_posix() for one in targets if one["kind"] != ["test"]}
    assert {"rust/engine/lib.rs", "rust/binding/src/lib.rs", "benches/vector/main.rs"} <= sources <= there
    assert {"pyproject.toml", "LICENSE", "python/pixr/py.typed", "python/pixr/_embedded/registry.toml"} <= there
    assert not [name for name in there if name.endswith((".so", ".pyc"))]
