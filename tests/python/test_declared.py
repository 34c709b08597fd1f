"""Whatever the package imports is named in `pyproject.toml`: what comes with something else may stop to."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pixr

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = Path(pixr.__file__).parent
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_everything_imported_is_declared() -> None:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = [one for name, of in project["optional-dependencies"].items() if name != "dev" for one in of]
    declared = {_name(re.match(r"[\w.-]+", one)[0]) for one in (*project["dependencies"], *extras)}  # type: ignore[index]
    makers = packages_distributions()
    imported = {module for file in PACKAGE.rglob("*.py") for module in _imported(file)}
    foreign = {module for module in imported - sys.stdlib_module_names - {"pixr"} if module in makers}
    assert {"numpy", "pyarrow"} <= foreign
    undeclared = {module for module in foreign if not declared & {_name(one) for one in makers[module]}}
    assert undeclared == set()


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def _name(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
