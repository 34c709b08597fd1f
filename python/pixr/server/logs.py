"""Logs to standard error, one JSON object a line. A request's headers, body and query string are never logged."""

from __future__ import annotations

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any

__all__ = ["JsonLines", "configure_logging", "request_id"]

request_id: ContextVar[str | None] = ContextVar("pixr_request_id", default=None)

# Secrets look like nothing else, so they can be removed here from a message that quotes one by mistake.
_SECRET = re.compile(
    r"\b(sk_(?:live|test)_|whsec_|oat_|ort_|oac_|ocs_)[A-Za-z0-9+/=_-]{8,}|\beyJ[\w-]+\.[\w-]+\.[\w-]+"
)
_written = json.JSONEncoder(default=str).encode  # json.dumps would make one for each line
_BUILT_IN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON, with its `extra` fields and the id of the current request."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (id := request_id.get()) is not None:
            line["requestId"] = id
        line |= {name: value for name, value in vars(record).items() if name not in _BUILT_IN}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return _SECRET.sub(lambda match: f"{match[1] or 'jwt'}[removed]", _written(line))


def configure_logging(level: str) -> None:
    """Send all logs of this process through `JsonLines`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # our own line has the route, and no query string
    for name in ("alembic", "httpx", "httpcore", "multipart"):
        logging.getLogger(name).setLevel(logging.WARNING)
