"""The shapes of the HTTP API (camelCase JSON), made from what the library returns.

One function a shape. The command line's `--json`, its batch output and the HTTP adapter all print what is made here, so
a field can't be spelled in two ways. Numbers are passed through unrounded.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from pixr.errors import PixrError
from pixr.types import Creator, Hit, Hits, Match, Moment, Video

__all__ = [
    "error_to_dict",
    "hit_to_dict",
    "hits_to_dict",
    "json_text",
    "report_to_dict",
    "source_name",
    "video_to_dict",
]


def hits_to_dict(hits: Hits, *, explain: bool = False, source: bool = False) -> dict[str, Any]:
    """One page of hits as the response of `POST /v1/search`.

    `explain` adds how each channel was searched (`plan`), and to every match its moment (an index into `moments`),
    clause, weight, raw scores and highlights; `source` adds to every result the base name of the file that it came
    from. `warnings` is there only if something was asked for that could not be done.
    """
    response: dict[str, Any] = {
        "results": [hit_to_dict(hit, explain=explain, source=source) for hit in hits],
        "pagination": {
            "nextCursor": hits.next_cursor,
            "hasMore": hits.next_cursor is not None,
            "total": hits.total,
            "totalRelation": hits.total_relation,
        },
        "facets": {name: dict(counts) for name, counts in hits.facets.items()},
        "timing": {"encode": hits.timing.encode, "search": hits.timing.search, "total": hits.timing.total},
        "snapshot": str(hits.snapshot),
    }
    if explain and hits.plan:
        response["plan"] = dict(hits.plan)
    if hits.warnings:
        response["warnings"] = list(hits.warnings)
    return response


def hit_to_dict(hit: Hit, *, explain: bool = False, source: bool = False) -> dict[str, Any]:
    """One result: the video, its moments best first, and the evidence of all of them."""
    result: dict[str, Any] = {
        "videoId": hit.video.id,
        "title": hit.video.title,
        "thumbnailUrl": None,
        "duration": hit.video.duration,
        "relevance": {
            "score": hit.score,
            "moments": [_moment(moment) for moment in hit.moments],
            "matches": list(_matches(hit, explain)),
        },
        "creator": _creator(hit.video.creator),
    }
    if source:
        result["source"] = source_name(hit.video)
    return result


def video_to_dict(video: Video) -> dict[str, Any]:
    """A video as `GET /v1/videos/{id}` shows it."""
    return {
        "videoId": video.id,
        "title": video.title,
        "description": video.description,
        "tags": list(video.tags),
        "duration": video.duration,
        "created": video.created,
        "quality": video.quality,
        "creator": _creator(video.creator),
        "source": video.source,
        "metadata": dict(video.metadata),
    }


def report_to_dict(report: Mapping[str, Any]) -> dict[str, Any]:
    """What `info`, `check` or `compact` say, with the names of the fields, at every depth, in camelCase."""

    def written(value: Any) -> Any:
        if isinstance(value, Mapping):
            return report_to_dict(value)
        return [written(item) for item in value] if isinstance(value, list) else value

    return {re.sub(r"_([a-z0-9])", lambda m: m[1].upper(), name): written(value) for name, value in report.items()}


def error_to_dict(error: BaseException) -> dict[str, Any]:
    """An error as `code` and `detail`; anything that Pixr did not raise on purpose has the code `internal`."""
    code = error.code if isinstance(error, PixrError) else "io" if isinstance(error, OSError) else "internal"
    return {"code": code, "detail": str(error) or type(error).__name__}


def json_text(value: Any, *, indent: int | None = None, encoding: str = "utf-8") -> str:
    """JSON that can be written in an encoding, with its characters as they are.

    Half of a surrogate pair (an id that a caller made up, a file's name that is not UTF-8) is no character; where there
    is one, or what the encoding lacks, all but ASCII is escaped, which is read back as it was.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text


def source_name(video: Video) -> str:
    """Base name of the file or URL that a video was indexed from, or its id where none is known."""
    if not video.source:
        return video.id
    if "://" in video.source:
        return unquote(urlsplit(video.source).path.rstrip("/").rpartition("/")[2]) or video.source
    return os.path.basename(video.source) or video.source


def _creator(creator: Creator | None) -> dict[str, Any] | None:
    if creator is None:
        return None
    return {"id": creator.id, "name": creator.name, "verified": creator.verified}


def _moment(moment: Moment) -> dict[str, Any]:
    return {"timestamp": moment.start, "duration": moment.duration, "peak": moment.peak, "score": moment.score}


def _matches(hit: Hit, explain: bool) -> Iterator[dict[str, Any]]:
    for index, moment in enumerate(hit.moments):
        for match in moment.matches:
            entry = _match(match)
            if explain:
                entry |= {
                    "moment": index,
                    "clause": match.clause,
                    "part": match.part,
                    "weight": match.weight,
                    "cosine": match.cosine,
                    "bm25": match.bm25,
                    "highlights": [list(span) for span in match.highlights],
                }
            yield entry


def _match(match: Match) -> dict[str, Any]:
    return {
        "timestamp": match.start,
        "duration": match.duration,
        "type": match.mode,
        "channel": match.channel,
        "confidence": match.confidence,
        "contribution": match.contribution,
        "description": match.description,
    }
