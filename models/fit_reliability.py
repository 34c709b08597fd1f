#!/usr/bin/env python3
"""Fit calibrations by likelihood, so that a confidence is how often it is right, and draw how far it is.

    python models/fit_reliability.py fit OUT.json LIBRARY QUERIES.jsonl [LIBRARY QUERIES.jsonl]...
    python models/fit_reliability.py draw OUT.png LIBRARY QUERIES.jsonl CANDIDATE.json...

`fit` asks the questions of one mode (families visual, speech, caption, image) and those about nothing with no least
score, takes every match with its raw scores and whether it overlaps a right span, and finds the curves of
`search/calibrate.rs` under which the labels are likeliest: frame by cosine, frame by a picture's cosine (`alike`),
speech by cosine and share of the ideal BM25 score together, screen by the share. Wrong matches that are found by no
family of their own count as they come: confidence depends on how much there is to be confused with, so fit on
libraries of the size that is meant. It prints the expected calibration error of the fit, and of the unfitted lines, and
writes the curves of a candidate; `floor` and `sufficient` are set by hand beside them (`fit_calibration.py compare`
measures those).

`draw` draws the diagrams of the candidates on a library: all matches of the moments that the default threshold returns,
with their errors. Report on corpora of other seeds than those fitted on. Libraries are copied, never changed.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
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
Match = tuple[float, float, bool]  # cosine, share of the ideal BM25 score (-1 where there is none), right

FAMILIES = {"visual": "frame", "speech": "speech", "caption": "screen", "image": "alike"}
NULL_QUERIES = Path(__file__).resolve().parent.parent / "benches" / "eval" / "null_queries.txt"


def gather(library_path: Path, queries_path: Path) -> dict[str, list[Match]]:
    """Every match of the families' own channels, by channel."""
    found: dict[str, list[Match]] = defaultdict(list)
    with pixr.open(library_path, create=False, read_only=True) as library:
        asker = Asker(library.engine, library.encoders)
        ids = {source_name(video): video.id for video in library.videos()}
        for judged in read_ground_truth(queries_path):
            channel = FAMILIES.get(judged.family)
            if channel is None:
                continue
            right = {(ids.get(span.video), span.start, span.end) for span in judged.relevant}
            asked = asker.request(from_dict(judged.question, judged.folder))
            request = {**asked.request, "limit": 20, "moments_per_hit": 20, "min_score": 0.0}
            answer = json.loads(library.engine.search(json.dumps(request), asked.vectors, asked.clause_vectors))
            for hit in answer["hits"]:
                for match in (match for moment in hit["moments"] for match in moment["matches"]):
                    if match["channel"] == ("frame" if channel == "alike" else channel):
                        is_right = any(_covers(match, span) for span in right if span[0] == hit["video"]["id"])
                        raw = match.get("cosine", -1.0), match.get("lexical_ratio", -1.0)
                        found[channel].append((*raw, is_right))
    return found


def _covers(match: dict[str, Any], span: tuple[Any, float, float]) -> bool:
    shared = min(match["end"], span[2]) - max(match["start"], span[1])
    return bool(shared >= min(match["end"] - match["start"], span[2] - span[1]) / 2)


def _logistic(cosine: Floats, center: float, slope: float, top: float) -> Floats:
    values: Floats = np.where(cosine <= -1.0, 0.0, top / (1 + np.exp(-slope * (cosine - center))))
    return values


def _saturation(values: Floats, half: float, power: float, top: float) -> Floats:
    bent, bend = np.maximum(values, 0.0) ** power, half**power
    curve: Floats = top * (1 + bend) * bent / (bent + bend)
    return curve


def _speech(cosine: Floats, ratio: Floats, p: Floats) -> Floats:
    one, other = _logistic(cosine, p[0], p[1], p[2]), _saturation(ratio, p[3], p[4], p[2])
    high, low = np.maximum(one, other), np.minimum(one, other)
    both: Floats = high + p[5] * low * (1 - high)
    return both


CURVES: dict[str, tuple[Callable[[Floats, Floats, Floats], Floats], list[tuple[float, float]]]] = {
    "frame": (lambda c, _, p: _saturation(c, *p), [(0.1, 2.0), (1.0, 3.0), (0.5, 0.98)]),
    "alike": (lambda c, _, p: _logistic(c, *p), [(0.4, 0.95), (4.0, 40.0), (0.8, 0.99)]),
    "screen": (lambda _, r, p: _saturation(r, *p), [(0.2, 2.0), (1.0, 10.0), (0.5, 0.98)]),
    "speech": (
        _speech,
        [(0.3, 0.8), (6.0, 22.0), (0.5, 0.95), (0.2, 1.0), (2.0, 8.0), (0.0, 0.95)],
    ),
}


def fit(matches: Sequence[Match], channel: str, rounds: int = 4000, seed: int = 0) -> Floats:
    """The parameters under which the labels are likeliest: tried at random, and near the best so far."""
    curve, limits = CURVES[channel]
    table = np.array(matches, np.float64)
    low, high = (np.array(side) for side in zip(*limits, strict=True))
    random = np.random.default_rng(seed)

    def unlikely(parameters: Floats) -> float:
        sure = np.clip(curve(table[:, 0], table[:, 1], parameters), 1e-6, 1 - 1e-6)
        return float(-np.where(table[:, 2] > 0, np.log(sure), np.log1p(-sure)).mean())

    best = (low + high) / 2
    least = unlikely(best)
    for at in range(rounds):
        wide = random.random() < 0.2
        step = random.normal(size=len(low)) * (high - low) * 0.1 * (1 - at / rounds)
        tried = random.uniform(low, high) if wide else np.clip(best + step, low, high)
        worth = unlikely(tried)
        if worth < least:
            best, least = tried, worth
    return best


def report(matches: Sequence[Match], sure: Floats) -> Reliability:
    """How far confidences are from being right."""
    return reliability([(float(c), bool(match[2])) for c, match in zip(sure, matches, strict=True)])


def candidate(fitted: dict[str, Floats]) -> dict[str, Any]:
    """The curves as `calibration.json` has them; `floor` and `sufficient` are set by hand."""
    saturation = ("half", "power", "top")
    logistic = ("center", "slope", "top")

    def named(names: Sequence[str], values: Sequence[float]) -> dict[str, float]:
        return {name: round(float(value), 3) for name, value in zip(names, values, strict=True)}

    channels: dict[str, dict[str, Any]] = {}
    if "frame" in fitted:
        channels["frame"] = {"vector": named(saturation, fitted["frame"])}
        if "alike" in fitted:
            channels["frame"]["alike"] = named(logistic, fitted["alike"])
    if "speech" in fitted:
        p = fitted["speech"]
        channels["speech"] = {
            "vector": named(logistic, p[:3]),
            "lexical": named(saturation, (p[3], p[4], p[2])),
            "agreement": round(float(p[5]), 3),
        }
    if "screen" in fitted:
        channels["screen"] = {"lexical": named(saturation, fitted["screen"])}
    return channels


def draw(out: Path, library_path: Path, queries_path: Path, candidates: Sequence[Path]) -> None:
    """Draw the diagrams of candidates, a row each, and print their errors."""
    judged = [one for one in read_ground_truth(queries_path) if one.family in FAMILIES]
    nothing = [line for line in NULL_QUERIES.read_text(encoding="utf8").splitlines() if line.strip()]
    drawn: list[tuple[str, Reliability]] = []
    for path in candidates:
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copytree(library_path, Path(folder) / "copy.pixr")
            with pixr.open(copy, create=False) as library:
                for channel, entry in json.loads(path.read_text(encoding="utf8"))["channels"].items():
                    library.engine.set_calibration(channel, json.dumps(entry["calibration"]))
                found = evaluate(library, judged, nothing).reliability
        print(path, {channel: round(of.error, 3) for channel, of in found.items()})
        drawn += [(f"{channel}, {path.stem}", of) for channel, of in found.items()]
    draw_diagram(out, drawn)


def main() -> int:
    """Run what the first argument says."""
    arguments = sys.argv[1:]
    paths = [Path(argument) for argument in arguments[1:]]
    if arguments[:1] == ["fit"] and len(paths) >= 3 and len(paths) % 2 == 1:
        all_matches: dict[str, list[Match]] = defaultdict(list)
        for library, queries in zip(paths[1::2], paths[2::2], strict=True):
            for channel, matches in gather(library, queries).items():
                all_matches[channel] += matches
        fitted: dict[str, Floats] = {}
        for channel, matches in all_matches.items():
            fitted[channel] = fit(matches, channel)
            table = np.array(matches, np.float64)
            plain = np.maximum(np.where(table[:, 0] > -1, (1 + table[:, 0]) / 2, 0.0), table[:, 1])
            after = report(matches, CURVES[channel][0](table[:, 0], table[:, 1], fitted[channel]))
            print(f"{channel}: {len(matches)} matches, unfitted {report(matches, plain).error:.3f}, {after.error:.3f}")
        paths[0].write_text(json.dumps(candidate(fitted), indent=2) + "\n", encoding="utf8")
        return 0
    if arguments[:1] == ["draw"] and len(paths) >= 4:
        draw(paths[0], paths[1], paths[2], paths[3:])
        return 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
