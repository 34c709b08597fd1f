"""The inspector's page: what came, newest first. No script; everything that came from outside is escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["CONTENT_SECURITY_POLICY", "page"]

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1c2430 }
h1 { font-size: 1.4rem } code, pre { font: 13px/1.5 ui-monospace, monospace }
pre { background: #f4f6f8; padding: .8rem; overflow-x: auto; border-radius: .4rem }
details { border: 1px solid #d8dee6; border-radius: .5rem; margin: .6rem 0; padding: .6rem .9rem }
summary { cursor: pointer } .good { color: #0a6b35 } .bad { color: #a3182d } .unknown { color: #5a6572 }
time { color: #5a6572; margin-right: .8rem } .verdict { float: right }
summary::after { content: ""; display: block; clear: both }
@media (prefers-color-scheme: dark) {
  body { background: #12161c; color: #e3e8ef } pre { background: #1c232d } details { border-color: #39434f }
  .good { color: #5fd38d } .bad { color: #ff8b9b } .unknown, time { color: #a7b2c0 }
}
"""


def page(inspector: Mapping[str, Any], requests: Sequence[Mapping[str, Any]]) -> str:
    """The page as HTML."""
    shown = "".join(_request(one) for one in requests)
    empty = "<p>Nothing came yet. Send a webhook to the address above, then reload.</p>"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Webhook inspector</title><style>{_STYLE}</style></head><body>
<h1>Webhook inspector</h1>
<p>Receives at <code>{escape(inspector["url"])}</code> and answers {int(inspector["respondWith"])}.</p>
<h2>{len(requests)} received</h2>
{shown or empty}
</body></html>
"""


def _request(request: Mapping[str, Any]) -> str:
    verdict = request["signature"]
    kind, word = {True: ("good", "signature valid"), False: ("bad", "signature invalid")}.get(
        verdict["valid"], ("unknown", "not verified")
    )
    reason = f": {verdict['reason']}" if verdict["reason"] else ""
    headers = "\n".join(f"{name}: {value}" for name, value in request["headers"].items())
    body, title = request["body"], "request"
    try:
        event = json.loads(body)
        body = json.dumps(event, indent=2, ensure_ascii=False)
        title = str(event["type"])
    except (ValueError, KeyError, TypeError):
        pass  # shown as it came
    return (
        f"<details><summary><time>{escape(str(request['received']))}</time><b>{escape(title)}</b>"
        f'<span class="verdict {kind}">{word}{escape(reason)}</span></summary>'
        f"<h3>Headers</h3><pre>{escape(headers)}</pre><h3>Body</h3><pre>{escape(body)}</pre></details>"
    )
