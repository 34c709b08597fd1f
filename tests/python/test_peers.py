"""The bench beside other engines: its arithmetic is right, and a tiny run measures what it says."""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benches.peers import figures, fused, install, machine, material, plots
from benches.peers.__main__ import engines_named, reasons
from benches.peers.engines import ENGINES
from benches.peers.figures import Point, Result, at_recall, frontier, memory_mb, ndcg, ratios, recall
from benches.peers.fused import corpus as corpora
from benches.peers.fused.measure import SYSTEMS, FusedResult, Run
from benches.peers.fused.protocol import Ranks


def point(recall: float, speed: float, *, p99: float = 1.0, resident: float = 0.0) -> Point:
    return Point(10, 100, recall, speed, 1e3 / speed, p99, resident)


def test_recall_counts_true_rows_in_any_order() -> None:
    assert recall([[1, 2], [4, 3]], [[2, 9], [3, 4]]) == 0.75
    assert recall([np.array([1, 1])], [[1, 2]]) == 0.5, "the same row twice is found once"
    with pytest.raises(ValueError, match="1 answers for 2"):
        recall([[1]], [[1], [2]])


def test_ndcg_is_one_for_the_best_order_and_less_for_another() -> None:
    gains = {"a": 3.0, "b": 1.0}
    assert ndcg(["a", "b", "c"], gains, 10) == 1.0
    swapped = (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))
    assert ndcg(["b", "a"], gains, 10) == pytest.approx(swapped)
    assert ndcg(["c", "a"], gains, 1) == 0.0, "what stands past the last place counts nothing"
    assert ndcg([], gains, 10) == 0.0
    assert ndcg(["a"], {}, 10) == 1.0


def test_a_figure_is_interpolated_between_the_points_around_the_recall() -> None:
    points = [point(0.99, 1_000, p99=4.0), point(0.91, 4_000, p99=1.0)]
    assert at_recall(points, 0.95) == pytest.approx(2_000), "halfway, in the logarithm"
    assert at_recall(points, 0.95, "p99_ms") == pytest.approx(2.0)
    assert at_recall(points, 0.99) == pytest.approx(1_000)
    assert at_recall(points, 0.995) is None
    assert at_recall(points, 0.5) == 4_000, "the least setting does better than asked"
    assert at_recall([], 0.5) is None


def test_points_that_another_beats_are_left_out() -> None:
    slow = point(0.93, 500)
    points = [point(0.90, 4_000), slow, point(0.96, 1_000)]
    assert frontier(points) == [points[0], points[2]]
    assert at_recall(points, 0.95) == pytest.approx(at_recall([points[0], points[2]], 0.95))


def test_memory_is_that_of_the_first_setting_that_reaches_the_recall() -> None:
    result = Result("x", points=[point(0.9, 3, resident=10), point(0.992, 2, resident=20), point(1.0, 1, resident=30)])
    assert memory_mb(result) == 20
    assert memory_mb(Result("x", points=result.points[:1])) == 10
    assert memory_mb(Result("x")) is None


def test_ratios_are_to_the_best_peer_and_null_where_nothing_was_measured() -> None:
    def swept(name: str, speed: float, build: float, resident: float) -> Result:
        points = [point(0.95, speed, resident=resident), point(0.99, speed / 2, resident=resident)]
        return Result(name, build_seconds=build, points=points)

    measured = [
        swept("pixr", 3_000, 10, 100),
        swept("hnswlib", 1_000, 40, 400),
        swept("usearch-bf16", 1_500, 50, 200),
        Result("voyager", error="not installed: voyager"),
        Result("pixr-exact", points=[point(1.0, 300)]),
    ]
    assert ratios(measured) == {
        "qps_at_0.95": 2.0,
        "qps_at_0.99": 2.0,
        "build_vs_hnswlib": 0.25,
        "memory_vs_hnswlib": 0.25,
        "exact_vs_faiss_flat": None,
    }
    assert set(ratios([]).values()) == {None}


def test_fused_ratios_compare_pixr_where_it_is_good_enough() -> None:
    def run(effort: int, p50: float, gained: float) -> Run:
        return Run(100, effort, 1e3 / p50, p50, p50, [], ndcg=gained)

    ours = FusedResult("pixr", runs=[run(0, 30, 1.0), run(25, 1, 0.9), run(50, 2, 0.99), run(100, 4, 1.0)])
    peer = FusedResult("lancedb", runs=[run(100, 20, 0.7), run(400, 40, 0.7)])
    assert fused.ratios([ours, peer]) == {"fused_vs_lancedb": 10.0, "fused_vs_milvus": None}
    noisy = FusedResult("pixr", runs=[run(50, 2, 0.99), run(400, 1.9, 1.0)])
    assert fused.chosen(noisy).effort == 50, "the least effort, as the page says, not the luckiest time"


def test_ranks_add_up_over_lists_and_a_repeated_entry_counts_once() -> None:
    ranks: Ranks[str] = Ranks()
    ranks.add(["a", "a", "b"])
    ranks.add(["c", "b"])
    assert ranks.best(3) == ["b", "a", "c"]


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(material, "DATA", tmp_path / "nothing")


def test_a_plot_says_by_which_command_on_which_machine_and_at_which_commit() -> None:
    """The command was in the tables alone."""
    about = {**machine.describe(), "rows": 2000, "dimension": 64}
    said = plots.titled(about).split()
    assert "2,000" in said
    assert set(about["command"].split()) <= set(said)
    assert f"{about['commit']}," in said
    assert set(about["cpu"].split()) <= set(said)


def test_where_there_is_no_git_the_commit_is_not_known(tmp_path: Path) -> None:
    """Not found in `PATH`, it ended the bench in a traceback before anything was measured."""
    bench(
        tmp_path, "--n", "50", "--dim", "8", "--queries", "2", "--peers", "pixr", "--only", "vectors", path="/nowhere"
    )
    assert json.loads((tmp_path / "peers.json").read_text(encoding="utf-8"))["about"]["commit"] == "unknown"


def test_the_release_that_is_stated_is_the_engine_s_own() -> None:
    """Tables said "milvus-lite 3.0.2", which was the release of its client."""
    assert ENGINES["milvus-lite"].packages[0] == SYSTEMS["milvus-lite"].packages[0] == "milvus-lite"


def test_a_ratio_that_is_null_says_why() -> None:
    """LanceDB that was not installed "was not asked for"; nothing beside Pixr was a recall that nobody reached."""
    why = dict.fromkeys(("qps_at_0.95", "build_vs_hnswlib", "exact_vs_faiss_flat", "fused_vs_lancedb"))
    ratios = {**dict.fromkeys((*figures.COMPARED, *fused.PEERS), 1.0), **why}
    vectors = {"pixr": None, "hnswlib": "not installed: hnswlib", "faiss-flat": None}
    assert reasons(ratios, {"vectors": vectors, "fused": {"pixr": None, "lancedb": "not installed: lancedb"}}) == {
        "qps_at_0.95": "no setting of both sides reaches the recall",
        "build_vs_hnswlib": "not installed: hnswlib",
        "exact_vs_faiss_flat": "pixr-exact was not asked for",
        "fused_vs_lancedb": "not installed: lancedb",
    }
    alone = reasons(ratios, {"vectors": {"pixr": None, "pixr-exact": None}, "fused": {}})
    assert alone["qps_at_0.95"] == "no peer was measured"
    assert alone["build_vs_hnswlib"] == "hnswlib was not asked for"
    assert alone["fused_vs_lancedb"] == "fused were not asked for: --only fused"


@pytest.mark.usefixtures("no_data")
def test_the_corpus_cuts_all_segments_into_videos(tmp_path: Path) -> None:
    corpus = corpora.make(tmp_path, 500, 3)
    lengths = np.diff(corpus.first_of)
    assert corpus.segment_count == lengths.sum() == len(corpus.frames) == len(corpus.speech_texts) == 500
    assert corpus.video_count == len(lengths) == len(corpus.titles) == len(corpus.title_texts)
    assert lengths[:-1].min() >= corpora.SHORTEST
    assert lengths.max() <= corpora.LONGEST
    assert np.array_equal(np.bincount(corpus.video_of), lengths)
    assert not np.array_equal(corpus.frames, corpus.speech)
    assert len(corpus.queries) == len(corpus.query_texts) == 3


@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize("dimension", [128, 384])
def test_the_truth_is_brute_force(tmp_path: Path, dimension: int) -> None:
    made = material.prepare(tmp_path, 300, dimension, 5)
    vectors, queries = made.vectors(), made.queries()
    assert vectors.shape == (300, dimension)
    best = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    assert [set(row) for row in made.truth()] == [set(row) for row in best]


def test_noise_that_is_kept_is_not_taken_for_real_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Kept by `--work` before there was data, it was measured once more and called embeddings."""
    monkeypatch.setattr(material, "DATA", tmp_path / "data")
    noise = np.array(material.prepare(tmp_path, 40, 384, 3).vectors())
    (tmp_path / "data").mkdir()
    real = np.random.default_rng(1).normal(size=(43, 384)).astype(np.float16)
    np.save(tmp_path / "data" / "vectors.f16.npy", real[:40])
    np.save(tmp_path / "data" / "queries.f16.npy", real[40:])
    made = material.prepare(tmp_path, 40, 384, 3)
    assert made.source == "all-MiniLM-L6-v2 embeddings"
    assert np.array_equal(made.vectors(), material.unit(real[:40]))
    assert not np.array_equal(made.vectors(), noise)


def test_what_cannot_be_installed_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# a comment\nno-such-package-of-ours @ file:///nowhere/at/all.whl\n", encoding="utf-8")
    monkeypatch.setattr(install, "REQUIREMENTS", requirements)
    failed = install.install(["no-such-package-of-ours", "numpy"])
    assert list(failed) == ["no-such-package-of-ours"]
    assert "can't be installed" in failed["no-such-package-of-ours"]


def test_the_name_of_a_family_stands_for_all_of_it() -> None:
    """Of zvec, which is the name of an engine too, that one alone was measured."""
    assert engines_named("hnswlib,usearch") == ["pixr", "hnswlib", "usearch-bf16", "usearch-i8"]
    assert engines_named("zvec") == ["pixr", "zvec", "zvec-i8"]
    assert engines_named("zvec-i8") == ["pixr", "zvec-i8"]
    with pytest.raises(argparse.ArgumentTypeError, match="no nothing; there are pixr,"):
        engines_named("nothing")


def test_a_flat_scan_is_compared_with_exact_search() -> None:
    """`--peers faiss` gave no ratio of exact searches, and said that no setting reached the recall."""
    assert engines_named("faiss-flat") == ["pixr", "pixr-exact", "faiss-flat"]
    assert engines_named("faiss")[:2] == ["pixr", "pixr-exact"]


_BENCH = """
import time
from benches.peers.measure import in_child
def stage(path):
    while True:
        with open(path, "a") as file:
            file.write(".")
        time.sleep(0.02)
if __name__ == "__main__":
    in_child(stage, "written")
"""


def test_a_bench_that_is_killed_leaves_nothing_at_work(tmp_path: Path) -> None:
    """The process of the stage went on, and wrote into the folder of the next run."""
    (tmp_path / "bench.py").write_text(_BENCH)
    written = tmp_path / "written"
    bench = subprocess.Popen(
        [sys.executable, "bench.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    )
    try:
        until = time.monotonic() + 60
        while not written.exists() and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        bench.kill()
        bench.wait()
    time.sleep(1.0)
    size = written.stat().st_size
    time.sleep(0.5)
    assert written.stat().st_size == size


def run_bench(tmp_path: Path, *arguments: str, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benches.peers", "--out", str(tmp_path), "--no-install", *arguments]
    root = Path(__file__).parents[2]
    paths = {"PYTHONPATH": str(root), "PIXR_BENCH_DATA": str(tmp_path), "PATH": path}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=root, env=paths)


def bench(tmp_path: Path, *arguments: str, path: str = "/usr/bin:/bin") -> dict[str, float | None]:
    ran = run_bench(tmp_path, *arguments, path=path)
    assert ran.returncode == 0, ran.stderr
    last: dict[str, float | None] = json.loads(ran.stdout.splitlines()[-1])
    return last


@pytest.mark.parametrize(
    "arguments", [("--n", "0"), ("--n", "9"), ("--dim", "0"), ("--dim", "-2"), ("--queries", "0"), ("--queries", "-4")]
)
def test_a_size_that_can_not_be_measured_is_refused(tmp_path: Path, arguments: tuple[str, str]) -> None:
    """No rows at all were 200,000 of them, and four queries less than none were all but four."""
    ran = run_bench(tmp_path, "--only", "vectors", "--peers", "pixr", *arguments)
    assert ran.returncode == 2
    assert f"argument {arguments[0]}: must be at least" in ran.stderr


def test_a_tiny_run_measures_pixr_and_says_which_peers_are_not_there(tmp_path: Path) -> None:
    found = bench(tmp_path, "--n", "1500", "--dim", "32", "--queries", "20", "--peers", "hnswlib", "--only", "vectors")
    results = json.loads((tmp_path / "vectors.json").read_text(encoding="utf-8"))["results"]
    ours, peer = results
    assert ours["name"] == "pixr"
    assert ours["build_seconds"] > 0
    assert ours["disk_mb"] > 1500 * 64 / 1e6
    assert ours["cold_ms"] > 0
    assert max(point["recall"] for point in ours["points"]) == 1.0
    if importlib.util.find_spec("hnswlib") is None:
        assert "hnswlib" in peer["error"]
        assert found["qps_at_0.95"] is None
    else:
        assert found["qps_at_0.95"]
        assert found["build_vs_hnswlib"]
    assert found["fused_vs_lancedb"] is None
    reasons = json.loads((tmp_path / "peers.json").read_text(encoding="utf-8"))["null"]
    assert reasons["fused_vs_lancedb"] == "fused were not asked for: --only fused"
    assert reasons["exact_vs_faiss_flat"] == "faiss-flat was not asked for"
    assert "hnswlib" in (tmp_path / "vectors.md").read_text(encoding="utf-8")


def test_a_tiny_fused_run_ranks_as_the_exhaustive_search_does(tmp_path: Path) -> None:
    arguments = ("--n", "600", "--dim", "48", "--queries", "10", "--peers", "pixr", "--only", "fused")
    bench(tmp_path, *arguments, "--work", str(tmp_path / "work"))
    frames = np.load(tmp_path / "work" / "corpus-600x48-noise" / "frames.npy")
    assert frames.shape == (600, 48), "--dim was of vectors alone: fused queries had 384 whatever was asked"
    assert "48 dimensions" in (tmp_path / "fused.md").read_text(encoding="utf-8")
    results = json.loads((tmp_path / "fused.json").read_text(encoding="utf-8"))["results"]
    assert [result["name"] for result in results] == ["pixr", "pixr-videos"]
    for ours in results:
        assert ours["error"] is None
        assert {run["ndcg"] for run in ours["runs"]} == {1.0}, "so few segments are searched exactly"
        assert {run["share"] for run in ours["runs"]} == {100, 10, 1}
        assert ours["counts"]["totals_exact"] == 1.0
        assert all(speed > 0 for speed in ours["clients"].values())
