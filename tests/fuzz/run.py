"""Builds the fuzz targets and lets each run for a while; prints one line of JSON for each.

    python -m tests.fuzz.run [--seconds 20] [TARGET...]

Needs nothing but the stable compiler and a C++ one: what cargo-fuzz would pass to a nightly compiler is passed with
`RUSTC_BOOTSTRAP=1`, and only to the engine and the targets. The hundred crates below them are compiled as they are,
which takes minutes instead of an hour, and the fuzzer follows what the engine does. The address sanitizer watches the
engine and every allocation. What a run finds beyond the seeds is kept in `target/fuzz/corpus`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.fuzz import seeds

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
KEPT = ROOT / "target" / "fuzz"
TARGETS = ("log", "manifest", "part", "column", "deletes", "cursor", "filter", "query", "text")
# As cargo-fuzz has it: coverage for libFuzzer, and the address sanitizer.
INSTRUMENTED = ("pixr", "pixr-fuzz")
FLAGS = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Zsanitizer=address",
    "--cfg=fuzzing",
]


def build() -> Path:
    """Compile all targets; the folder with the programs."""
    environment = {**os.environ, "RUSTC_BOOTSTRAP": "1", "CARGO_INCREMENTAL": "0"}
    command = ["cargo", "-Zprofile-rustflags", "build", "--release", "--locked", "--target-dir", str(KEPT)]
    for package in INSTRUMENTED:
        command += ["--config", f"profile.release.package.{package}.rustflags={json.dumps(FLAGS)}"]
    subprocess.run(command, cwd=HERE, env=environment, check=True)
    return KEPT / "release"


def fuzz(program: Path, seconds: int) -> dict[str, object]:
    """Run one target and count its executions."""
    corpus, found = KEPT / "corpus" / program.name, KEPT / "found" / program.name
    corpus.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    # An input that takes longer than a minute, or an allocation of a quarter of a gigabyte, is a finding too.
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={found}/", "-print_final_stats=1", "-timeout=60"]
    options += ["-rss_limit_mb=2048", "-malloc_limit_mb=256", "-max_len=4096", "-verbosity=0"]
    command = [str(program), *options, str(corpus), str(KEPT / "seeds" / program.name)]
    result = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", result.stderr)
    if result.returncode != 0:
        print(result.stderr[-6000:], file=sys.stderr)
    return {
        "fault": f"fuzz {program.name}",
        "counts": {
            "fuzz_executions": int(executed[1]) if executed else 0,
            "fuzz_seconds": seconds,
            "panics": int(result.returncode != 0),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz every decoder of bytes.")
    parser.add_argument("--seconds", type=int, default=20, help="how long each target runs")
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], help="all by default")
    chosen = parser.parse_args()
    programs = build()
    seeds.write(KEPT / "seeds")
    outcomes = []
    for target in chosen.targets or TARGETS:
        outcomes.append(fuzz(programs / target, chosen.seconds))
        print(json.dumps(outcomes[-1]), flush=True)
        if report := os.environ.get("PIXR_FAULTS_REPORT"):
            with Path(report).open("a") as file:
                file.write(json.dumps(outcomes[-1]) + "\n")
    failed = [outcome for outcome in outcomes if outcome["counts"]["panics"]]  # type: ignore[index]
    if failed:
        sys.exit(f"{len(failed)} targets failed; their inputs are in {KEPT / 'found'}")


if __name__ == "__main__":
    main()
