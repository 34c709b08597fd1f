"""Many queries from a file: one JSON object a line in, one a line out.

In: `{"id": …, "query": …, "modes": […], "filters": {…}, "limit": …}`, with `image`, `audio`, `clip` (paths relative to
the file's folder), `like`, `vectors`, `then` and `within`, `while`, `not` and `blend` as `pixr.questions.from_dict`
reads them, and `video`, `between`, `min_score`, `diversity` and `moments` as `Library.search` takes them; other fields
are left alone. Out: `{"id": …, "seconds": …, "results": […]}`, each result as in the HTTP response plus `source`, with
`explain` its matches explained and the `plan` beside them; a query that could not be answered has no results and an
`error` with its code, whatever is wrong with it; `warnings` are there where something was asked for that could not be
done. The `id` comes back as it was given.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixr.errors import InvalidQuery
from pixr.questions import from_dict
from pixr.surrogates import has_lone_surrogate
from pixr.whole_file import whole_file
from pixr.wire import error_to_dict, hits_to_dict, json_text

if TYPE_CHECKING:
    from pixr.library import Library
    from pixr.types import Hits

__all__ = ["overwrites", "run_batch"]

OPTIONS = ("filters", "limit", "video", "between", "min_score", "diversity", "moments")


def run_batch(
    library: Library, queries: Path, out: Path, defaults: Mapping[str, Any], *, explain: bool = False
) -> dict[str, Any]:
    """Answer every line of `queries` into `out`, which appears whole or not at all.

    Returns the number of queries, how many failed, the median milliseconds of those that were answered, the seconds of
    all, and what was warned of.

    Raises:
        InvalidQuery: a line of the file is not UTF-8, or no JSON object; the message has its number.
        OSError: a file can't be read or written.
    """
    answered: list[float] = []
    failed, seconds = 0, 0.0
    warnings: dict[str, None] = {}
    with whole_file(out) as partial:
        # Bytes that are not UTF-8 become lone surrogates, so that `_parse` knows which line they are in.
        reading = queries.open(encoding="utf-8-sig", errors="surrogateescape")
        with reading as lines, partial.open("w", encoding="utf-8") as answers:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                answer = _answer(library, _parse(line, number, queries), number, queries.parent, defaults, explain)
                warnings |= dict.fromkeys(answer.get("warnings", ()))
                seconds += answer["seconds"]
                if "error" in answer:
                    failed += 1
                else:
                    answered.append(answer["seconds"])
                answers.write(json_text(answer) + "\n")
    median = statistics.median(answered) * 1000 if answered else 0.0
    counts = {"queries": len(answered) + failed, "failed": failed, "medianMs": median, "seconds": seconds}
    return counts | {"warnings": list(warnings)}


def overwrites(queries: Path, out: Path) -> bool:
    """Whether the answers would be written over the file of the questions."""
    return out.exists() and queries.exists() and out.samefile(queries)


def _parse(line: str, number: int, path: Path) -> dict[str, Any]:
    if has_lone_surrogate(line):
        raise InvalidQuery(f"{path}, line {number}: not UTF-8")
    try:
        query = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidQuery(f"{path}, line {number}: not JSON ({error})") from None
    if not isinstance(query, dict):
        raise InvalidQuery(f"{path}, line {number}: not a JSON object")
    return query


def _answer(
    library: Library, query: dict[str, Any], number: int, folder: Path, defaults: Mapping[str, Any], explain: bool
) -> dict[str, Any]:
    answer: dict[str, Any] = {"id": query.get("id", number)}
    began = time.perf_counter()
    try:
        hits = _search(library, query, folder, defaults)
    except Exception as error:  # noqa: BLE001 - one bad line must not take the answers to all others with it
        return answer | {"seconds": time.perf_counter() - began, "results": [], "error": error_to_dict(error)}
    elapsed = time.perf_counter() - began
    page = hits_to_dict(hits, explain=explain, source=True)
    given = {name: page[name] for name in ("results", "plan", "warnings") if name in page}
    return answer | {"seconds": elapsed} | given


def _search(library: Library, query: dict[str, Any], folder: Path, defaults: Mapping[str, Any]) -> Hits:
    options: dict[str, Any] = {name: query[name] for name in OPTIONS if query.get(name) is not None}
    return library.search(from_dict(query, folder), **{**defaults, **options})
