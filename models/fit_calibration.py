#!/usr/bin/env python3
"""Fit the calibration on labelled corpora, and compare calibrations: how `embedded/calibration.json` came about.

    python models/fit_calibration.py fit LIBRARY QUERIES.jsonl [LIBRARY QUERIES.jsonl]... [--seconds 120]
    python models/fit_calibration.py compare LIBRARY QUERIES.jsonl CANDIDATE.json...

`fit` reads the raw evidence of every query and clause for every shot once (cosines, shares of the ideal BM25
score), and then tries parameters at random, and near the best so far, for the objective

    fused R@1 + 0.3 visual R@1 + 0.5 speech R@1 - 3 max(0, 0.84 - share of queries about nothing without an answer)

with a weighted sum over channels and what `sufficient` lets through. A shot is taken for a moment, which is nearly
what the engine does. Curves are kept from becoming steps (slope and power are bounded): a step ranks this corpus as
well, and forgets how well a text matched. It prints the best parameters; they are rounded by hand into a candidate.

`compare` asks the engine itself, at the default threshold: R@1 and R@5 of each family at IoU 0.5, and the share of
`benches/eval/null_queries.txt` that gets no answer. LIBRARY is copied, never changed.

The shipped parameters were fitted on corpora of seeds 21 and 33, in a run that counted 45 more queries about nothing,
and are reported on seed 7. All three draw on the same photographs, sentences and queries about nothing, put together
in other ways, so the figures are held out only as far as that goes. For pictures asked of pictures (`alike`) the curve
was set by hand between the cosines of other pictures (99.5 % below 0.74) and of the same one mirrored and cropped
(95 % above 0.67). What is enough by itself of speech was raised from 0.43 to 0.47 later, on seeds 21 and 33 with
`benches/eval/null_queries_chosen_on.txt`: four in 115 more of those get no answer, for none and one of 260 sentences.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pixr
from benches.eval.quality import NULL_QUERIES
from benches.eval.score import score
from pixr.clauses import split_clauses
from pixr.wire import hits_to_dict

Floats = NDArray[np.float32]
Parameters = dict[str, float]

FAMILIES = ("visual", "caption", "speech", "fused")
FITTED = ("visual", "speech", "fused")
SHOT_SECONDS = 4.0
LEAST_COSINE = 0.02  # of a picture that is enough by itself
LIMITS: dict[str, tuple[float, float]] = {
    "frame_half": (0.1, 0.3),
    "frame_power": (1.0, 1.8),
    "frame_top": (0.6, 0.95),
    "cosine_center": (0.4, 0.6),
    "cosine_slope": (8.0, 22.0),
    "ratio_half": (0.25, 0.6),
    "ratio_power": (2.0, 5.0),
    "text_top": (0.5, 0.95),
    "agreement": (0.0, 0.9),
    "sufficient": (0.05, 0.6),
}


class Question:
    """A query with its evidence: an array of (terms, shots) a channel, of which the first term is the whole."""

    def __init__(self, family: str, modes: list[str], evidence: dict[str, Floats], relevant: list[int]) -> None:
        self.family, self.modes, self.evidence, self.relevant = family, modes, evidence, relevant


def gather(library_path: Path, queries_path: Path) -> list[Question]:
    """The evidence for all queries of a corpus, and for those about nothing."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(library_path, Path(folder) / "copy.pixr")
        with pixr.open(copy, create=False) as library:
            for channel in ("frame", "speech", "screen", "metadata"):
                library._engine.set_calibration(channel, "{}")
            return _Gatherer(library).all(queries_path)


class _Gatherer:
    def __init__(self, library: pixr.Library) -> None:
        self._library = library
        self._encoders = library._encoders.loaded()
        self._rows: list[dict[str, Any]] = []
        for video in library.videos():
            rows = pa.record_batch(library._engine.segments([video.id])).to_pylist()
            self._rows += [row | {"file": Path(video.source or "").name} for row in rows if row["start"] is not None]
        self._place = {(row["video_id"], row["start"], row["end"]): at for at, row in enumerate(self._rows)}
        self._vectors = {channel: self._matrix(channel) for channel in ("frame", "speech")}
        shots = [at for at, row in enumerate(self._rows) if row["frame.vector"] is not None]
        self._shots = np.array(shots)
        self._texts_of_shot = [
            [at for at, row in enumerate(self._rows) if _together(row, self._rows[s])] for s in shots
        ]

    def all(self, queries_path: Path) -> list[Question]:
        with queries_path.open(encoding="utf8") as lines:
            queries = [query for query in map(json.loads, lines) if query["family"] in FITTED]
        nothing = [line for line in NULL_QUERIES.read_text(encoding="utf8").splitlines() if line.strip()]
        queries += [{"family": "nothing", "query": t, "modes": ["visual", "audio"], "relevant": []} for t in nothing]
        return [self._question(query) for query in queries]

    def _question(self, query: dict[str, Any]) -> Question:
        terms = [query["query"], *split_clauses(query["query"])]
        frame = self._encoders.visual.encode_text(terms) @ self._vectors["frame"].T
        cosine = self._encoders.text.encode_text(terms) @ self._vectors["speech"].T
        ratio = np.stack([self._ratios(term) for term in terms])
        evidence = {"frame": frame[:, self._shots], "cosine": self._of_shots(cosine), "ratio": self._of_shots(ratio)}
        wanted = {(one["video"], round(one["start"] / SHOT_SECONDS)) for one in query["relevant"]}
        found = [(self._rows[at]["file"], round(self._rows[at]["start"] / SHOT_SECONDS)) for at in self._shots]
        return Question(
            query["family"], query["modes"], evidence, [at for at, key in enumerate(found) if key in wanted]
        )

    def _ratios(self, text: str) -> Floats:
        asked = {"text": {"speech": text}, "limit": 1000, "moments_per_hit": 1000, "min_score": 0.0}
        answer = json.loads(self._library._engine.search_json(json.dumps(asked), {}))
        ratios = np.zeros(len(self._rows), np.float32)
        for hit in answer["hits"]:
            for match in (match for moment in hit["moments"] for match in moment["matches"]):
                ratios[self._place[hit["video"]["id"], match["start"], match["end"]]] = match["lexical_ratio"]
        return ratios

    def _of_shots(self, values: Floats) -> Floats:
        """The best of what is said in each shot; -1 where nothing is."""
        columns = [values[:, at].max(axis=1, initial=-1.0) for at in self._texts_of_shot]
        return np.stack(columns, axis=1)

    def _matrix(self, channel: str) -> Floats:
        vectors = [row[f"{channel}.vector"] for row in self._rows]
        width = next(len(vector) for vector in vectors if vector is not None)
        return np.array([vector if vector is not None else np.full(width, -1.0) for vector in vectors], np.float32)


def _together(said: dict[str, Any], shot: dict[str, Any]) -> bool:
    if said["speech.vector"] is None or said["video_id"] != shot["video_id"]:
        return False
    shared = min(said["end"], shot["end"]) - max(said["start"], shot["start"])
    return bool(shared >= min(said["end"] - said["start"], shot["end"] - shot["start"]) / 2)


def evaluate(questions: list[Question], p: Parameters) -> Parameters:
    """R@1 by family, and the share of queries about nothing without an answer."""
    enough = np.array([float(_saturation(np.array(LEAST_COSINE), p, "frame")), p["sufficient"]])
    right: dict[str, list[bool]] = defaultdict(list)
    for question in questions:
        seen = np.array([mode in question.modes for mode in ("visual", "audio")])
        confidences = _confidences(question.evidence, p)[seen]
        returned = (confidences >= enough[seen][:, None]).any(axis=0)
        if question.family == "nothing":
            right["nothing"].append(not returned.any())
            continue
        scores = np.where(returned, confidences.mean(axis=0), -1.0)
        best = int(scores.argmax())
        right[question.family].append(bool(returned[best]) and best in question.relevant)
    return {family: float(np.mean(hits)) for family, hits in right.items()}


def _confidences(evidence: dict[str, Floats], p: Parameters) -> Floats:
    """As the engine has them (`search/calibrate.rs`): one row a channel, whole and clauses combined."""
    frame = _saturation(evidence["frame"], p, "frame")
    cosine = p["text_top"] / (1 + np.exp(-p["cosine_slope"] * (evidence["cosine"] - p["cosine_center"])))
    ratio = _saturation(evidence["ratio"], p, "ratio")
    high, low = np.maximum(cosine, ratio), np.minimum(cosine, ratio)
    speech = high + p["agreement"] * low * (1 - high)
    channels = np.stack([frame, np.where(evidence["cosine"] <= -1.0, 0.0, speech)])
    combined: Floats = np.maximum(channels[:, 0], 1 - np.prod(1 - channels[:, 1:], axis=1))
    return combined if channels.shape[1] > 1 else channels[:, 0]


def _saturation(values: Floats, p: Parameters, name: str) -> Floats:
    top = p["frame_top"] if name == "frame" else p["text_top"]
    bent, half = np.maximum(values, 0.0) ** p[f"{name}_power"], p[f"{name}_half"] ** p[f"{name}_power"]
    curve: Floats = top * (1 + half) * bent / (bent + half)
    return curve


def fit(questions: list[Question], seconds: float, seed: int = 0) -> tuple[Parameters, Parameters]:
    """The best parameters found, and what they reach."""
    random = np.random.default_rng(seed)
    best: tuple[float, Parameters, Parameters] | None = None
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if best is None or random.random() < 0.3:
            tried = {name: float(random.uniform(low, high)) for name, (low, high) in LIMITS.items()}
        else:
            near = {name: value * float(np.exp(random.normal() * 0.1)) for name, value in best[1].items()}
            tried = {name: float(np.clip(near[name], *limits)) for name, limits in LIMITS.items()}
        reached = evaluate(questions, tried)
        worth = reached["fused"] + 0.3 * reached["visual"] + 0.5 * reached["speech"]
        worth -= 3 * max(0.0, 0.84 - reached["nothing"])
        if best is None or worth > best[0]:
            best = (worth, tried, reached)
    assert best is not None
    return best[1], best[2]


def compare(library_path: Path, queries_path: Path, candidates: list[Path]) -> None:
    """Print what the engine reaches with each candidate."""
    with queries_path.open(encoding="utf8") as lines:
        queries = [query for query in map(json.loads, lines) if query["family"] in FAMILIES]
    nothing = [line for line in NULL_QUERIES.read_text(encoding="utf8").splitlines() if line.strip()]
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(library_path, Path(folder) / "copy.pixr")
        with pixr.open(copy, create=False) as library:
            for candidate in candidates:
                channels = json.loads(candidate.read_text(encoding="utf8"))["channels"]
                for channel, entry in channels.items():
                    library._engine.set_calibration(channel, json.dumps(entry["calibration"]))
                families = score(queries, {query["id"]: _answer(library, query) for query in queries})
                empty = sum(not library.search(text, limit=1) for text in nothing) / len(nothing)
                figures = " ".join(
                    f"{name} {family.recall_at_1:.3f}/{family.recall_at_5:.3f}" for name, family in families.items()
                )
                print(f"{candidate}: {figures} nothing {empty:.2f}")


def _answer(library: pixr.Library, query: dict[str, Any]) -> dict[str, Any]:
    hits = library.search(query["query"], modes=query["modes"], limit=20)
    results = hits_to_dict(hits)["results"]
    named = [dict(result, source=Path(hit.video.source or "").name) for result, hit in zip(results, hits, strict=True)]
    return {"id": query["id"], "seconds": 0.0, "results": named}


def main() -> int:
    """Run what the first argument says."""
    arguments, seconds = sys.argv[1:], 120.0
    if "--seconds" in arguments:
        at = arguments.index("--seconds")
        seconds = float(arguments[at + 1])
        del arguments[at : at + 2]
    paths = [Path(argument) for argument in arguments[1:]]
    if arguments[:1] == ["fit"] and len(paths) >= 2 and len(paths) % 2 == 0:
        questions = [one for at in range(0, len(paths), 2) for one in gather(paths[at], paths[at + 1])]
        parameters, reached = fit(questions, seconds)
        print(json.dumps({"parameters": parameters, "reached": reached}, indent=2))
        return 0
    if arguments[:1] == ["compare"] and len(paths) >= 3:
        compare(paths[0], paths[1], paths[2:])
        return 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
