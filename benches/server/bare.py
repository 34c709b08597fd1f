"""Routes that do nothing but send one body, in three frameworks, on the same uvicorn.

`python -m benches.server.bare NAME PORT FILE`: the body is the file's.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import uvicorn


def application(name: str, body: bytes) -> Any:
    """The framework's application with `POST /v1/search`."""
    if name == "starlette":
        from starlette.applications import Starlette
        from starlette.requests import Request
        from starlette.responses import Response
        from starlette.routing import Route

        async def answer(request: Request) -> Response:
            await request.json()
            return Response(body, media_type="application/json")

        return Starlette(routes=[Route("/v1/search", answer, methods=["POST"])])
    if name == "fastapi":
        from fastapi import FastAPI
        from fastapi.responses import Response as FastResponse

        app = FastAPI()

        @app.post("/v1/search")
        async def answer_fast(asked: dict[str, Any]) -> FastResponse:
            return FastResponse(body, media_type="application/json")

        return app
    from litestar import Litestar, post
    from litestar import Response as LiteResponse

    @post("/v1/search", status_code=200)  # type: ignore[untyped-decorator,unused-ignore]
    async def answer_lite(data: dict[str, Any]) -> Any:
        # Litestar looks annotations up among the module's names, where its own are not.
        return LiteResponse(body, media_type="application/json")

    return Litestar([answer_lite])


def main() -> None:
    """Serve until killed."""
    name, port, file = sys.argv[1:]
    uvicorn.run(application(name, Path(file).read_bytes()), port=int(port), access_log=False, log_level="error")


if __name__ == "__main__":
    main()
