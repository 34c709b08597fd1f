"""Installs what the peers need, one by one, into the environment that runs this."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TypeAlias

Install: TypeAlias = Callable[[Iterable[str]], dict[str, str]]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def install(packages: Iterable[str]) -> dict[str, str]:
    """Install those of `packages` that are missing, as `requirements.txt` names them; returns why some failed."""
    wanted = {_name(line): line for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines() if _name(line)}
    failed = {}
    for package in packages:
        if _is_installed(package) or package in failed:
            continue
        print(f"peers: installing {package}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wanted[package]]
        try:
            made = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            failed[package] = f"{package} can't be installed: {error}"
            continue
        if made.returncode != 0:
            failed[package] = f"{package} can't be installed: {_reason(made.stderr)}"
    return failed


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _name(line: str) -> str:
    return re.split(r"[\s#;<>=!~\[]", line.strip(), maxsplit=1)[0]


def _reason(output: str) -> str:
    lines: Sequence[str] = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lstrip().lower().startswith("error")]
    return (errors or lines or ["pip gave no reason"])[-1].strip()[:200]
