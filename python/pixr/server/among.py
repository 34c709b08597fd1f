"""`column IN (…)` for any number of values. Databases limit the number of parameters, so the values are one of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Boolean, ColumnElement, String, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

__all__ = ["among"]


def among(column: Any, values: Iterable[str]) -> ColumnElement[bool]:
    """Whether a column's text is one of `values`."""
    return _Among(column, literal(json.dumps(list(values)), String))


class _Among(FunctionElement[bool]):
    """Takes a column, and the values as a JSON array."""

    name = "among"
    type = Boolean()
    inherit_cache = True


@compiles(_Among, "sqlite")
def _on_sqlite(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(one, **options) for one in element.clauses)
    return f"({column} IN (SELECT value FROM json_each({values})))"  # noqa: S608 - both are the compiler's


@compiles(_Among, "postgresql")
def _on_postgresql(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(one, **options) for one in element.clauses)
    return f"({column} IN (SELECT json_array_elements_text(CAST({values} AS json))))"
