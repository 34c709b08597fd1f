"""The player that partners put into their pages: plain white-label HTML that seeks to a moment.

An organization's branding (`colors`, `logoUrl`, `texts`, `allowedOrigins`) comes from its record. Every value of it is
escaped or checked, because it ends up in other people's pages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any

from pixr.show.clock import first_millisecond

__all__ = ["EMBED_SECONDS", "embed_code", "player_headers", "player_page", "refusal_page"]

EMBED_SECONDS = 86_400
_COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.*-]+(:\d+)?")
_URL = re.compile(r"https://[^\s\"'<>]+")


def embed_code(url: str, title: str, width: int, height: int) -> dict[str, str]:
    """An `<iframe>`, and a script that inserts one in its own place."""
    frame = (
        f'<iframe src="{escape(url)}" title="{escape(title)}" width="{width}" height="{height}" '
        'allow="autoplay; fullscreen" style="border:0" loading="lazy"></iframe>'
    )
    literal = json.dumps(frame).replace("<", "\\u003c")
    return {
        "iframe": frame,
        "script": f'<script>document.currentScript.insertAdjacentHTML("afterend",{literal})</script>',
    }


def player_headers(branding: Mapping[str, Any]) -> dict[str, str]:
    """What the page may load, and who may frame it."""
    origins = [one for one in branding.get("allowedOrigins", ()) if _ORIGIN.fullmatch(str(one))]
    policy = (
        "default-src 'none'; media-src 'self'; img-src 'self' https:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{_SCRIPT_HASH}'; frame-ancestors {' '.join(origins) or '*'}"
    )
    return {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", "Cache-Control": "private, no-cache"}


def player_page(title: str, media: str, poster: str, seconds: float, branding: Mapping[str, Any]) -> str:
    """The page: a video that begins at `seconds`."""
    colors = branding.get("colors", {})
    background = _colour(colors.get("background"), "#000000")
    accent = _colour(colors.get("accent"), "#ffffff")
    logo = str(branding.get("logoUrl", ""))
    mark = f'<img class="logo" src="{escape(logo)}" alt="">' if _URL.fullmatch(logo) else ""
    start = first_millisecond(seconds)
    heading = escape(str(branding.get("texts", {}).get("title", title)))
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{heading}</title>
<style>
html, body {{ margin: 0; height: 100%; background: {background}; color: {accent}; font: 14px system-ui, sans-serif }}
video {{ display: block; width: 100%; height: 100%; object-fit: contain; accent-color: {accent} }}
.logo {{ position: fixed; top: 12px; right: 12px; max-height: 32px; pointer-events: none }}
{_REFUSED_STYLE}
</style>
<video controls playsinline aria-label="{heading}" preload="metadata" src="{escape(media)}#t={start}"
 poster="{escape(poster)}" data-start="{start}"></video>{mark}
<p class="refused" role="alert" hidden>This video can't be played here.</p>
<script>{_SCRIPT}</script></html>
"""


def refusal_page(detail: str) -> str:
    """What is framed in place of a player that can't be shown, with the reason."""
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>This video can't be shown</title>
<style>html, body {{ margin: 0; background: #000; font: 14px system-ui, sans-serif }} {_REFUSED_STYLE}</style>
<p class="refused">This video can't be shown. {escape(detail)}</p></html>
"""


_REFUSED_STYLE = """.refused { position: fixed; inset: 0; bottom: auto; margin: 0; padding: 12px; text-align: center;
 background: #000c; color: #fff }
.refused[hidden] { display: none }"""

# A page that frames the player may send `{"seek": seconds}`. The start is set here because some browsers ignore `#t=`.
_SCRIPT = (
    "const v=document.querySelector('video');const s=parseFloat(v.dataset.start);"
    "v.addEventListener('loadedmetadata',()=>{if(s>0&&Math.abs(v.currentTime-s)>.1)v.currentTime=s},{once:true});"
    "v.addEventListener('error',()=>{document.querySelector('.refused').hidden=false});"
    "addEventListener('message',e=>{const t=e.data&&e.data.seek;"
    "if(Number.isFinite(t)){v.currentTime=t;v.play().catch(()=>{})}});"
)


def _hash(script: str) -> str:
    import base64
    import hashlib

    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


_SCRIPT_HASH = _hash(_SCRIPT)


def _colour(value: object, otherwise: str) -> str:
    return str(value) if _COLOUR.fullmatch(str(value)) else otherwise
