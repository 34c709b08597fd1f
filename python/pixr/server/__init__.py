"""The HTTP server: `pixr serve`, extra `pixr[server]`.

It adds accounts, uploads, limits and events around `pixr.Library`, and no search semantics: a request and the Python
call it stands for give the same answer.

    routes/      thin: read the request, call a service, shape the answer; one file a resource
    services     organizations, keys, libraries, videos, searching: know the database and the library, never HTTP
    models.py    the tables; migrations/ how they came to be
    errors.py    every code with its status, in one table
"""

from pixr.errors import MissingExtra

try:
    import fastapi  # noqa: F401 - its absence is told in one line
    import sqlalchemy  # noqa: F401
except ImportError as error:
    raise MissingExtra(error.name or "fastapi", "server", error) from error
