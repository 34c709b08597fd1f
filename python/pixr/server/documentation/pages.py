"""The pages under `/docs`: the interactive reference, and one for each error code. All of it comes from this server.

Their links are relative, since a proxy may show the server below a path of its own.
"""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files

from pixr.server.errors import CODES

__all__ = ["ASSETS", "CONTENT_SECURITY_POLICY", "asset", "error_page", "errors_page", "reference_page"]

# Swagger UI, as the package `fastapi-offline` carries it.
ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
# Calls are tried where the page was opened, since its policy allows no other place: behind a tunnel or another name of
# this machine that is not the address that the specification names.
START_SCRIPT = """const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();
const address = new URL(".", location.href).href.replace(/\\/$/, "");
const here = (text) => JSON.stringify({ ...JSON.parse(text), servers: [{ url: address }] });
window.addEventListener("load", () => {
  window.ui = SwaggerUIBundle({
    url: "openapi.json",
    plugins: [{ statePlugins: { spec: { wrapActions: { updateSpec: (update) => (text) => update(here(text)) } } } }],
    dom_id: "#reference",
    deepLinking: true,
    persistAuthorization: false,
    displayRequestDuration: true,
  });
});
"""
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
)
_STYLE = """
body { font: 16px/1.6 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem; padding: 0 1rem; color: #1c2430 }
code { font: 14px/1.5 ui-monospace, monospace } table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #d8dee6; vertical-align: top }
a { color: #0b57a4 }
:root { color-scheme: light dark } td { overflow-wrap: break-word }
@media (max-width: 40rem) {
  table, tbody { display: block } th { display: none } tr { display: block; padding: .6rem 0 }
  tr + tr { border-top: 1px solid #d8dee6 } td { display: block; border: 0; padding: 0 }
}
@media (prefers-color-scheme: dark) { body { background: #12161c; color: #e3e8ef } a { color: #8fc1ff } }
"""


def asset(name: str) -> bytes:
    """A file of Swagger UI.

    Raises:
        KeyError: there is no such file.
    """
    if name not in ASSETS:
        raise KeyError(name)
    return (files("fastapi_offline") / "static" / name).read_bytes()


def reference_page() -> str:
    """The interactive reference."""
    return """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Pixr API</title><link rel="stylesheet" href="docs/assets/swagger-ui.css"></head>
<body><div id="reference"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/assets/start.js"></script>
</body></html>
"""


def errors_page() -> str:
    """All error codes."""
    rows = "".join(
        f'<tr><td>{code.status}</td><td><a href="errors/{name}"><code>{name}</code></a></td>'
        f"<td>{escape(code.title)}</td><td>{_words(code.advice)}</td></tr>"
        for name, code in sorted(CODES.items(), key=lambda item: (item[1].status, item[0]))
    )
    table = f"<table><tr><th>Status</th><th>Code</th><th>What</th><th>What to do</th></tr>{rows}</table>"
    intro = (
        "<p>Errors are <code>application/problem+json</code> (RFC 9457). Act on <code>code</code>, which never changes "
        "its meaning; <code>detail</code> is for people. Quote <code>requestId</code> when you ask about one.</p>"
    )
    return _page("Errors", intro + table)


def error_page(name: str) -> str:
    """One error code.

    Raises:
        KeyError: there is no such code.
    """
    code = CODES[name]
    again = "Yes, after the time that Retry-After says." if code.status in (429, 503) else "Not unchanged."
    body = (
        f"<p><b>{escape(code.title)}</b>, HTTP status {code.status}.</p><p>{_words(code.advice)}</p>"
        f"<p>Try again? {again}</p>"
        '<p><a href="../errors">All codes</a></p>'
    )
    return _page(name, body)


def _words(text: str) -> str:
    """Text in which backquotes stand around code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>
"""
