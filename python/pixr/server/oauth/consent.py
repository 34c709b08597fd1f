"""The page on which a person agrees that a client may act for an organization. No script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["CONSENT_HEADERS", "consent_page"]

CONSENT_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
MEANINGS = {
    "videos.read": "see your videos",
    "videos.write": "add, change and delete videos",
    "search": "search your videos",
    "analytics": "see how they are searched",
    "webhooks": "manage where events are sent",
    "admin": "manage keys and everything else",
}


def consent_page(client: str, host: str, scopes: Sequence[str], sealed: str, complaint: str | None) -> str:
    """The page. `sealed` is the request it is about, signed; `complaint` says what was wrong with the answer before."""
    wishes = "".join(f"<li>{escape(MEANINGS[scope])} <small>({escape(scope)})</small></li>" for scope in scopes)
    wrong = f'<p role="alert">{escape(complaint)}</p>' if complaint else ""
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Allow {escape(client)}?</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 10vh auto; padding: 0 1rem; color: #1c2733 }}
label {{ display: block; margin: .8rem 0 }}
input {{ width: 100%; padding: .5rem; font: inherit; box-sizing: border-box }}
button {{ font: inherit; padding: .5rem 1.2rem; margin-right: .5rem }} [role=alert] {{ color: #a11 }}
:root {{ color-scheme: light dark }}
@media (prefers-color-scheme: dark) {{
  body {{ background: #12161c; color: #e3e8ef }} [role=alert] {{ color: #ff8f8f }}
}}
</style>
<h1>Allow {escape(client)}?</h1>
<p>It wants to</p><ul>{wishes}</ul><p>Then you will be sent back to <b>{escape(host)}</b>.</p>{wrong}
<form method="post" autocomplete="off"><input type="hidden" name="sealed" value="{escape(sealed)}">
<label>API key <input name="key" autofocus></label>
<label>API secret <input name="secret" type="password"></label>
<button name="decision" value="allow">Allow</button><button name="decision" value="deny">Deny</button>
</form></html>
"""
