"""Runs every kind of fault that the tests know, and adds up what was tried and what went wrong.

    python -m tests.faults --profile fast|slow [--fuzz-seconds N] -- cargo test … --test engine

What follows `--` runs the engine's tests; `make faults` says it. The last line printed is one JSON object. Leaves with
1 if anything was lost, panicked or was answered wrongly, or if a stage failed for another reason.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

TOLD = ("crash_points", "kills", "flips", "failed_calls", "fuzz_executions", "lost", "panics", "wrong_answers")
# Seconds for each fuzz target.
FUZZING = {"fast": 15, "slow": 1200}


def main() -> int:
    parser = argparse.ArgumentParser(description="Try every fault.")
    parser.add_argument("--profile", choices=sorted(FUZZING), default="fast")
    parser.add_argument("--fuzz-seconds", type=int, help="for each target; 0 leaves fuzzing out")
    parser.add_argument("engine", nargs="+", help="the command that runs the engine's tests")
    chosen = parser.parse_args()
    seconds = FUZZING[chosen.profile] if chosen.fuzz_seconds is None else chosen.fuzz_seconds
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.jsonl"
        report.touch()
        environment = {**os.environ, "PIXR_FAULTS": chosen.profile, "PIXR_FAULTS_REPORT": str(report)}
        stages = {
            "engine": [*chosen.engine, "--", "faults", "kill", "--nocapture"],
            "kill of Python": [sys.executable, "-m", "pytest", "-q", "tests/python/test_kill.py"],
        }
        if seconds > 0:
            stages["fuzzing"] = [sys.executable, "-m", "tests.fuzz.run", "--seconds", str(seconds)]
        failed = [
            name for name, command in stages.items() if subprocess.run(command, check=False, env=environment).returncode
        ]
        totals: Counter[str] = Counter()
        for line in report.read_text().splitlines():
            fault = json.loads(line)
            print(f"{fault['fault']}: {fault['counts']}")
            totals.update(fault["counts"])
    for name in failed:
        print(f"failed: {name}", file=sys.stderr, flush=True)
    print(json.dumps({name: totals[name] for name in TOLD}))
    return 1 if failed or totals["lost"] or totals["panics"] or totals["wrong_answers"] else 0


if __name__ == "__main__":
    sys.exit(main())
