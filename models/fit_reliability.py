#!/usr/bin/env python3
"""Fit what is told of a confidence, so that it is how often such evidence is right, and draw how far it is.

    python models/fit_reliability.py fit OUT.json LIBRARY QUERIES.jsonl [LIBRARY QUERIES.jsonl]... [--titles PAIRS.tsv]
    python models/fit_reliability.py report CALIBRATION.json LIBRARY QUERIES.jsonl [OUT.png] [--titles PAIRS.tsv]

The curves of `embedded/calibration.json` are fitted for what ranks first (`fit_calibration.py`); `reported` maps the
confidences that they give to those that are told, and changes no order. `fit` asks the questions of one mode (families
visual, image, speech, caption) and those about nothing with no least score, takes every match with the confidence it
was ranked by and whether it overlaps a right span, and finds the beta calibration (`search/calibrate.rs`) under which
the labels are likeliest. Matches that are enough by themselves are few beside faint ones, and the ones people see: both
kinds weigh the same in all. It writes the shipped calibration with the maps in it. Without titles to fit on, metadata
get the map of speech: they are short texts in the same space.

`report` prints the expected calibration error of a calibration with and without its maps: over all matches, and in
brackets over those that are enough by themselves; and draws both, a row each. Confidence depends on how much there is
to be confused with: fit on libraries of the size that is meant, and report on corpora of other seeds. Libraries are
copied, never changed.

Metadata belong to no time, and the corpora's videos have no titles that say anything: PAIRS.tsv (a picture's file, its
description and a sentence about it, a line each) gives them. Every second sentence is the title of a video; asked are
all descriptions, so that half are about no title, a quarter of the titles, and what is about nothing. `fit` takes the
first half of the pairs, `report` the second.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pixr
from pixr.asking import Asker
from pixr.evaluation import read_ground_truth
from pixr.evaluation.reliability import draw_diagram, reliability
from pixr.inside import encoders_of
from pixr.questions import from_dict
from pixr.wire import source_name

Floats = NDArray[np.float64]
Match = tuple[float, bool]  # the confidence that it was ranked by or that is told, and whether it is right
Channels = dict[str, dict[str, Any]]
Pairs = list[tuple[str, str]]

# Questions of one mode each, and what of the calibration they are about.
FAMILIES = {"visual": "frame", "image": "frame by a picture", "speech": "speech", "caption": "screen"}
MODES = {"frame": "visual", "speech": "audio", "screen": "text"}
HERE = Path(__file__).resolve().parent
SHIPPED = HERE / "embedded" / "calibration.json"
NULL_QUERIES = HERE.parent / "benches" / "eval" / "null_queries.txt"
MAPS = {"reported", "alike_reported"}


@contextmanager
def copied(library_path: Path, channels: Channels) -> Iterator[pixr.Library]:
    """A copy of the library under another calibration."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(library_path, Path(folder) / "copy.pixr")
        with pixr.open(copy, create=False) as library:
            for channel, entry in channels.items():
                library._engine.set_calibration(channel, json.dumps(entry["calibration"]))
            yield library


def without_maps(channels: Channels) -> Channels:
    """The calibration by which matches are told with the confidence that ranks them."""
    plain: Channels = {}
    for channel, entry in channels.items():
        kept = {name: value for name, value in entry["calibration"].items() if name not in MAPS}
        plain[channel] = entry | {"calibration": kept}
    return plain


def gather(library_path: Path, queries_path: Path, channels: Channels) -> dict[str, list[Match]]:
    """Every match of the families' own channels, by what it is about."""
    found: dict[str, list[Match]] = defaultdict(list)
    questions = [
        (FAMILIES[judged.family], judged.question, judged.relevant, judged.folder)
        for judged in read_ground_truth(queries_path)
        if judged.family in FAMILIES
    ]
    for text in filter(None, map(str.strip, NULL_QUERIES.read_text(encoding="utf8").splitlines())):
        for channel, mode in MODES.items():
            questions.append((channel, {"query": text, "modes": [mode]}, (), queries_path.parent))
    with copied(library_path, channels) as library:
        ids = {source_name(video): video.id for video in library.videos()}
        for about, question, relevant, folder in questions:
            right = [(ids.get(span.video), span.start, span.end) for span in relevant]
            for video, match in _ask(library, question, folder):
                if match["channel"] == about.partition(" ")[0]:
                    is_right = any(_covers(match, span) for span in right if span[0] == video)
                    found[about].append((match["confidence"], is_right))
    return found


def read_pairs(path: Path) -> tuple[Pairs, Pairs]:
    """Descriptions and sentences, those to fit on and those to report on."""
    lines = [line.split("\t") for line in path.read_text(encoding="utf8").splitlines() if line]
    pairs = [(described, said) for _, described, said, *_ in lines]
    return pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]


def gather_titles(pairs: Pairs, channels: Channels) -> list[Match]:
    """Every match of metadata among videos that have nothing but a title."""
    titles = {f"video{at}": said for at, (_, said) in enumerate(pairs) if at % 2 == 0}
    asked = [(described, f"video{at}") for at, (described, _) in enumerate(pairs)]
    asked += [(said, f"video{at}") for at, (_, said) in enumerate(pairs) if at % 8 == 0]
    asked += [(text, "") for text in NULL_QUERIES.read_text(encoding="utf8").splitlines() if text]
    found: list[Match] = []
    with tempfile.TemporaryDirectory() as folder, pixr.open(Path(folder) / "titles.pixr") as library:
        text = library._encoders.loaded().text
        vectors = text.encode_documents(list(titles.values()))
        batch = pa.record_batch(
            {
                "video_id": list(titles),
                "start": [0.0] * len(titles),
                "end": [80.0] * len(titles),
                "metadata": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
            }
        )
        videos = [{"id": id, "title": title, "duration": 80.0} for id, title in titles.items()]
        library.add_segments(batch, videos=videos, spaces={"metadata": text.space})
        for channel, entry in channels.items():
            library._engine.set_calibration(channel, json.dumps(entry["calibration"]))
        for words, wanted in asked:
            for video, match in _ask(library, {"query": words, "channels": ["metadata"]}, Path()):
                found.append((match["confidence"], video == wanted))
    return found


def _ask(library: pixr.Library, question: dict[str, Any], folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every match of a question with no least score, and the video it is in."""
    encoders = encoders_of(library)
    asked = Asker(library._engine, encoders.loaded, encoders.loaded).request(from_dict(question, folder))
    request = {**asked.request, "limit": 20, "moments_per_hit": 20, "min_score": 0.0}
    answer = json.loads(library._engine.search_json(json.dumps(request), asked.vectors, asked.clause_vectors))
    for hit in answer["hits"]:
        for moment in hit["moments"]:
            for match in moment["matches"]:
                yield hit["video"]["id"], match


def _covers(match: dict[str, Any], span: tuple[Any, float, float]) -> bool:
    shared = min(match["end"], span[2]) - max(match["start"], span[1])
    return bool(shared >= min(match["end"] - match["start"], span[2] - span[1]) / 2)


def fit(matches: Sequence[Match], sufficient: float) -> dict[str, float]:
    """The beta calibration under which the labels are likeliest: a logistic regression on two logarithms."""
    table = np.array(matches, np.float64)
    sure, right = np.clip(table[:, 0], 1e-6, 1 - 1e-6), table[:, 1]
    enough = table[:, 0] >= sufficient
    weights = np.where(enough, 0.5 / max(1, enough.sum()), 0.5 / max(1, (~enough).sum()))
    features = np.stack([np.log(sure), -np.log1p(-sure), np.ones_like(sure)], axis=1)
    used = [0, 1, 2]
    while True:
        found = np.zeros(3)
        found[used] = _regress(features[:, used], right, weights)
        # A map must not fall: what would make it fall is left out.
        falling = [at for at in used if at < 2 and found[at] < 0.0]
        if not falling:
            return {name: round(float(value), 4) for name, value in zip(("low", "high", "shift"), found, strict=True)}
        used.remove(min(falling, key=lambda at: found[at]))


def _regress(features: Floats, right: Floats, weights: Floats, rounds: int = 60) -> Floats:
    """Weighted logistic regression by Newton's method, with so much of a ridge that perfect separation stays finite."""
    found: Floats = np.zeros(features.shape[1])
    ridge = 1e-7 * np.eye(len(found))
    for _ in range(rounds):
        sure = 1.0 / (1.0 + np.exp(-np.clip(features @ found, -40.0, 40.0)))
        slope = features.T @ (weights * (right - sure)) - ridge @ found
        curve = (features * (weights * sure * (1.0 - sure))[:, None]).T @ features + ridge
        step = np.linalg.solve(curve, slope)
        found = found + step * min(1.0, 10.0 / max(1e-9, float(np.abs(step).max())))
    return found


def fitted(channels: Channels, matches: dict[str, list[Match]]) -> Channels:
    """The calibration with maps fitted on these matches."""
    made = without_maps(channels)
    for about, found in matches.items():
        channel, _, by_a_picture = about.partition(" ")
        calibration = made[channel]["calibration"]
        calibration["alike_reported" if by_a_picture else "reported"] = fit(found, calibration["sufficient"])
    if "speech" in matches and "metadata" not in matches:
        made["metadata"]["calibration"]["reported"] = made["speech"]["calibration"]["reported"]
    return made


def errors(matches: Sequence[tuple[float, Match]], sufficient: float) -> tuple[float, float]:
    """The expected calibration error of all matches, and of those that rank with what is enough by itself."""
    enough = [match for ranked, match in matches if ranked >= sufficient]
    return reliability([match for _, match in matches]).error, reliability(enough).error


def report(path: Path, library_path: Path, queries_path: Path, out: Path | None, pairs_path: Path | None) -> None:
    """Print what is measured with and without the maps, and draw it."""
    channels: Channels = json.loads(path.read_text(encoding="utf8"))["channels"]
    sides = (without_maps(channels), channels)
    plain, told = (gather(library_path, queries_path, side) for side in sides)
    if pairs_path is not None:
        _, pairs = read_pairs(pairs_path)
        plain["metadata"], told["metadata"] = (gather_titles(pairs, side) for side in sides)
    for about, matches in plain.items():
        sufficient = channels[about.partition(" ")[0]]["calibration"]["sufficient"]
        ranked = [sure for sure, _ in matches]
        before, after = (errors(list(zip(ranked, side, strict=True)), sufficient) for side in (matches, told[about]))
        print(
            f"{about}: {len(matches)} matches, as ranked {before[0]:.3f} ({before[1]:.3f}), "
            f"as told {after[0]:.3f} ({after[1]:.3f})"
        )
    if out is not None:
        rows = (("as ranked", plain), ("as told", told))
        drawn = [(f"{about}, {name}", reliability(found[about])) for name, found in rows for about in plain]
        draw_diagram(out, drawn, columns=len(plain))


def main() -> int:
    """Run what the first argument says."""
    arguments, pairs = sys.argv[1:], None
    if "--titles" in arguments:
        at = arguments.index("--titles")
        pairs = Path(arguments[at + 1])
        del arguments[at : at + 2]
    paths = [Path(argument) for argument in arguments[1:]]
    if arguments[:1] == ["fit"] and len(paths) >= 3 and len(paths) % 2 == 1:
        table = json.loads(SHIPPED.read_text(encoding="utf8"))
        all_matches: dict[str, list[Match]] = defaultdict(list)
        for library, queries in zip(paths[1::2], paths[2::2], strict=True):
            for about, matches in gather(library, queries, without_maps(table["channels"])).items():
                all_matches[about] += matches
        if pairs is not None:
            all_matches["metadata"] = gather_titles(read_pairs(pairs)[0], without_maps(table["channels"]))
        table["channels"] = fitted(table["channels"], all_matches)
        paths[0].write_text(json.dumps(table, indent=2) + "\n", encoding="utf8")
        return 0
    if arguments[:1] == ["report"] and len(paths) in (3, 4):
        report(*paths[:3], paths[3] if len(paths) == 4 else None, pairs)
        return 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
