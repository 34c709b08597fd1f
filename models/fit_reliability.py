#!/usr/bin/env python3
"""Fit what is told of a confidence, so that it is how often such evidence is right, and draw how far it is.

    python models/fit_reliability.py fit OUT.json LIBRARY QUERIES.jsonl [LIBRARY QUERIES.jsonl]...
    python models/fit_reliability.py report CALIBRATION.json LIBRARY QUERIES.jsonl
    python models/fit_reliability.py draw OUT.png LIBRARY QUERIES.jsonl CALIBRATION.json...

The curves of `embedded/calibration.json` are fitted for what ranks first (`fit_calibration.py`); `reported` maps the
confidences that they give to those that are told, and changes no order. `fit` asks the questions of one mode (families
visual, image, speech, caption) and those about nothing with no least score, takes every match with the confidence it
was ranked by and whether it overlaps a right span, and finds the beta calibration (`search/calibrate.rs`) under which
the labels are likeliest. Matches that are enough by themselves are few beside faint ones, and the ones people see: both
kinds weigh the same in all. It writes the shipped calibration with the maps in it. Metadata are short texts in the same
space as speech and get its map; they belong to no time, so no corpus here tells how right they are.

`report` prints the expected calibration error of a calibration with and without its maps: over all matches, and in
brackets over those that are enough by themselves. `draw` draws the diagrams of calibrations, a row each: all matches of
the moments that the default threshold returns. Confidence depends on how much there is to be confused with: fit on
libraries of the size that is meant, and report on corpora of other seeds. Libraries are copied, never changed.
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
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pixr
from pixr.asking import Asker
from pixr.evaluation import evaluate, read_ground_truth
from pixr.evaluation.reliability import Reliability, draw_diagram, reliability
from pixr.questions import from_dict
from pixr.wire import source_name

Floats = NDArray[np.float64]
Match = tuple[float, bool]  # the confidence that it was ranked by or that is told, and whether it is right
Channels = dict[str, dict[str, Any]]

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
                library.engine.set_calibration(channel, json.dumps(entry["calibration"]))
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
        asker = Asker(library.engine, library.encoders, library.encoders)
        ids = {source_name(video): video.id for video in library.videos()}
        for about, question, relevant, folder in questions:
            right = [(ids.get(span.video), span.start, span.end) for span in relevant]
            asked = asker.request(from_dict(question, folder))
            request = {**asked.request, "limit": 20, "moments_per_hit": 20, "min_score": 0.0}
            answer = json.loads(library.engine.search_json(json.dumps(request), asked.vectors, asked.clause_vectors))
            for hit in answer["hits"]:
                for match in (match for moment in hit["moments"] for match in moment["matches"]):
                    if match["channel"] == about.partition(" ")[0]:
                        is_right = any(_covers(match, span) for span in right if span[0] == hit["video"]["id"])
                        found[about].append((match["confidence"], is_right))
    return found


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
    if "speech" in matches:
        made["metadata"]["calibration"]["reported"] = made["speech"]["calibration"]["reported"]
    return made


def errors(matches: Sequence[tuple[float, Match]], sufficient: float) -> tuple[float, float]:
    """The expected calibration error of all matches, and of those that rank with what is enough by itself."""
    enough = [match for ranked, match in matches if ranked >= sufficient]
    return reliability([match for _, match in matches]).error, reliability(enough).error


def report(path: Path, library_path: Path, queries_path: Path) -> None:
    """Print what is measured with and without the maps."""
    channels: Channels = json.loads(path.read_text(encoding="utf8"))["channels"]
    plain = gather(library_path, queries_path, without_maps(channels))
    told = gather(library_path, queries_path, channels)
    for about, matches in plain.items():
        sufficient = channels[about.partition(" ")[0]]["calibration"]["sufficient"]
        ranked = [sure for sure, _ in matches]
        before, after = (errors(list(zip(ranked, side, strict=True)), sufficient) for side in (matches, told[about]))
        print(
            f"{about}: {len(matches)} matches, as ranked {before[0]:.3f} ({before[1]:.3f}), "
            f"as told {after[0]:.3f} ({after[1]:.3f})"
        )


def draw(out: Path, library_path: Path, queries_path: Path, candidates: Sequence[Path]) -> None:
    """Draw the diagrams of calibrations, and print their errors."""
    judged = [one for one in read_ground_truth(queries_path) if one.family in FAMILIES]
    nothing = [line for line in NULL_QUERIES.read_text(encoding="utf8").splitlines() if line.strip()]
    drawn: list[tuple[str, Reliability]] = []
    for path in candidates:
        with copied(library_path, json.loads(path.read_text(encoding="utf8"))["channels"]) as library:
            found = evaluate(library, judged, nothing).reliability
        print(path, {channel: round(of.error, 3) for channel, of in found.items()})
        drawn += [(f"{channel}, {path.stem}", of) for channel, of in found.items()]
    draw_diagram(out, drawn)


def main() -> int:
    """Run what the first argument says."""
    arguments = sys.argv[1:]
    paths = [Path(argument) for argument in arguments[1:]]
    if arguments[:1] == ["fit"] and len(paths) >= 3 and len(paths) % 2 == 1:
        table = json.loads(SHIPPED.read_text(encoding="utf8"))
        all_matches: dict[str, list[Match]] = defaultdict(list)
        for library, queries in zip(paths[1::2], paths[2::2], strict=True):
            for about, matches in gather(library, queries, without_maps(table["channels"])).items():
                all_matches[about] += matches
        table["channels"] = fitted(table["channels"], all_matches)
        paths[0].write_text(json.dumps(table, indent=2) + "\n", encoding="utf8")
        return 0
    if arguments[:1] == ["report"] and len(paths) == 3:
        report(*paths)
        return 0
    if arguments[:1] == ["draw"] and len(paths) >= 4:
        draw(paths[0], paths[1], paths[2], paths[3:])
        return 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
