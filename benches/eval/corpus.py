"""The corpus to measure on: videos and queries whose relevant moments are known.

The full one is made by `../shared/eval/make_corpus.py` where that is; else a small one is made of the demo's
photographs, in the same files (`videos/*.mp4`, `queries.jsonl`, `videos.jsonl`), which says little about quality but
runs everywhere. Either is made once and kept.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from examples.demo.clips import HOME, SPACE, Slide, can_speak, get_photos, make_slide_show

SHARED = Path(__file__).resolve().parents[3] / "shared" / "eval" / "make_corpus.py"
DESCRIBED = {
    "chelsea.png": "a cat with ginger and white fur",
    "coffee.png": "a cup of coffee on a saucer with a spoon",
    "motorcycle_left.png": "a motorcycle standing in a garage",
    "coins.png": "rows of old metal coins",
    "astronaut.png": "a woman smiling in an orange space suit",
    "rocket.jpg": "a rocket standing on its launch pad",
    "moon.png": "craters on a grey surface",
    "hubble_deep_field.jpg": "coloured spots of light on black",
}


def get_corpus(folder: Path, families: str | None = None) -> Path:
    """Make the corpus below `folder` unless it is there, and return its own folder.

    Raises:
        RuntimeError: making it failed; the message has the reason.
    """
    full = SHARED.exists() and shutil.which("ffmpeg") is not None and can_speak()
    corpus = folder / ("corpus" if full else "small-corpus")
    if not (corpus / "queries.jsonl").exists():
        partial = folder / f"{corpus.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _make_full(partial, families) if full else _make_small(partial)
        partial.replace(corpus)
    return corpus


def read_queries(corpus: Path) -> list[dict[str, Any]]:
    """The queries with their `id`, `family`, `modes` and `relevant` moments."""
    with (corpus / "queries.jsonl").open(encoding="utf-8") as lines:
        queries = [json.loads(line) for line in lines]
    for query in queries:
        if "image" in query:
            query["image"] = str((corpus / query["image"]).resolve())
    return queries


def _make_full(corpus: Path, families: str | None) -> None:
    command = [sys.executable, str(SHARED), "--out", str(corpus)]
    done = subprocess.run(
        command + (["--families", families] if families else []), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{SHARED.name} failed: {done.stderr.strip()[-500:]}")


def _make_small(corpus: Path) -> None:
    photos = get_photos(Path("demo"))
    (corpus / "videos").mkdir()
    queries: list[dict[str, Any]] = []
    videos: list[dict[str, Any]] = []
    for name, slides in (("home.mp4", HOME), ("space.mp4", SPACE)):
        spans = make_slide_show(corpus / "videos" / name, slides, photos)
        videos.append({"video": name, "title": name, "tags": [], "duration": spans[-1][1]})
        for slide, (start, end) in zip(slides, spans, strict=True):
            where = {"video": name, "start": start, "end": end}
            queries += [query | {"relevant": [where]} for query in _ask(slide)]
    for number, query in enumerate(queries):
        query["id"] = f"q{number:04d}"
    for file, items in (("videos.jsonl", videos), ("queries.jsonl", queries)):
        lines = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
        (corpus / file).write_text(lines, encoding="utf-8")


def _ask(slide: Slide) -> list[dict[str, Any]]:
    described = DESCRIBED[slide.photo]
    asked: list[dict[str, Any]] = [
        {"family": "visual", "query": described, "modes": ["visual"]},
        {"family": "caption", "query": slide.caption, "modes": ["text"]},
    ]
    if can_speak():
        asked += [
            {"family": "speech", "query": slide.spoken, "modes": ["audio"]},
            {"family": "fused", "query": f"{described}, {slide.spoken}", "modes": ["visual", "text", "audio"]},
        ]
    return asked
