"""`pixr models`: which models there are, fetch one, and whether their files are whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixr.cli.console import complain, is_terminal, print_json, print_table
from pixr.cli.pull_progress import PullProgress
from pixr.errors import ModelNotFound, SpeechUnavailable

if TYPE_CHECKING:
    from pixr.encoders.registry import PublishedModel

__all__ = ["app"]

app = typer.Typer(help="List, get and verify models.", no_args_is_help=True, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

PULL_HELP = """Get a model by name, or what is missing of it. What is embedded is here already.

Goes on where an earlier call was interrupted. The first pull records the commit and every file's SHA-256; later ones,
and `pixr models verify`, compare. Models lie in $PIXR_CACHE_DIR, else ~/.cache/pixr.
"""


@app.command("list", help="List the models that are here, and those that can be pulled.")
def list_models(as_json: AsJson = False) -> None:
    here, published = _embedded(), _published()
    if as_json:
        print_json({"models": here, "published": published})
        return
    rows = [(m["name"], m["kind"], m["space"], f"{m['bytes'] / 1e6:.0f} MB", m["licence"], "embedded") for m in here]
    for m in published:
        dimension = f"{m['dimension']} dimensions" if m["dimension"] else ""
        state = f"pulled, {m['pulled']}" if m["pulled"] else m["goodFor"]
        rows.append((m["name"], m["kind"], dimension, f"{m['megabytes']} MB", m["licence"], state))
    print_table(("name", "kind", "space", "size", "licence", "state, or what it is good for"), rows, right=("size",))


@app.command("pull", help=PULL_HELP)
def pull(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    precision: Annotated[str, typer.Option(metavar="P", help="fp32, or another that the model has.")] = "auto",
    mirror: Annotated[
        str, typer.Option(metavar="URL", help="A server that answers as the hub does; $HF_ENDPOINT if not given.")
    ] = "",
    offline: Annotated[
        bool, typer.Option("--offline", help="Fetch nothing, only check; also $HF_HUB_OFFLINE=1.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    from pixr.encoders.hub import Hub
    from pixr.encoders.pull import pull as pull_model
    from pixr.encoders.pull import pulled_folder
    from pixr.media.speech_model import DEFAULT_NAME

    offline = offline or os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on")
    if name == DEFAULT_NAME:
        _pull_default_speech(offline, as_json)
        return
    model = _find(name)
    if model is None:
        if as_json:
            print_json({"model": name, "folder": None, "commit": None, "files": []})
        else:
            print(f"{name} comes with pixr; nothing to fetch.")
        return
    with PullProgress(name) as progress:
        locked = pull_model(model, Hub(mirror), precision=precision, offline=offline, on_bytes=progress.bytes)
    folder = pulled_folder(name)
    if as_json:
        files = [{"name": file.name, "bytes": file.byte_len, "sha256": file.sha256} for file in locked.files]
        print_json({"model": name, "folder": str(folder), "commit": locked.commit or None, "files": files})
    else:
        print(f"{name} is in {folder}, from {locked.repository} at {locked.commit or 'an unnamed commit'}")


@app.command("verify", help="Compare every file of every model with its length and SHA-256. 1 if one differs.")
def verify(as_json: AsJson = False) -> None:
    from pixr.encoders.pull import verify_pulled
    from pixr.encoders.registry import verify_models
    from pixr.media.speech_model import verify_default

    found = [*verify_models(), *verify_default(), *verify_pulled()]
    if as_json:
        print_json({"files": [{"model": f.model, "file": f.path.name, "problem": f.problem} for f in found]})
    else:
        print_table(("model", "file", "state"), [(f.model, f.path.name, f.problem or "whole") for f in found])
    broken = sum(file.problem is not None for file in found)
    if broken:
        complain(f"{broken} of {len(found)} files are not what they should be")
        raise typer.Exit(1)
    if is_terminal() and not as_json:
        print(f"All {len(found)} files are whole.")


def _pull_default_speech(offline: bool, as_json: bool) -> None:
    """Fetch the recogniser that speech has by default, as indexing would."""
    from pixr.media.speech_model import DEFAULT_NAME, find_speech_model, verify_speech_model

    folder = find_speech_model(download=not offline)
    if problem := verify_speech_model(folder):
        raise SpeechUnavailable(f"{problem}: remove {folder}, and pull it again")
    if as_json:
        print_json({"model": DEFAULT_NAME, "folder": str(folder), "commit": None, "files": []})
    else:
        print(f"{DEFAULT_NAME} is in {folder}")


def _find(name: str) -> PublishedModel | None:
    """The published model of a name; None for an embedded one."""
    from pixr.encoders.registry import published_models
    from pixr.media.speech_model import DEFAULT_NAME

    published = {model.name: model for model in published_models()}
    if name in published:
        return published[name]
    embedded = [model["name"] for model in _embedded()]
    if name in embedded:
        return None
    known = ", ".join((*embedded, DEFAULT_NAME, *published))
    raise ModelNotFound(f"no source is known for a model named {name!r}; known: {known}")


def _embedded() -> list[dict[str, Any]]:
    from pixr.encoders.registry import list_models as registered

    return [
        {
            "name": model.name,
            "kind": model.kind,
            "space": str(model.space),
            "bytes": model.byte_len,
            "licence": model.licence,
            "source": model.source,
        }
        for model in registered()
    ]


def _published() -> list[dict[str, Any]]:
    from pixr.encoders.pull import read_lock
    from pixr.encoders.registry import published_models
    from pixr.media.speech_model import DEFAULT_MODEL, default_folder

    pulled = {name: locked.precision for name, locked in read_lock().items()}
    if default_folder().is_dir():
        pulled[DEFAULT_MODEL.name] = "fp16"
    return [
        {
            "name": model.name,
            "kind": model.kind,
            "dimension": model.dimension,
            "megabytes": model.megabytes,
            "licence": model.licence,
            "languages": model.languages,
            "goodFor": model.good_for,
            "source": f"{model.repository}@{model.revision}",
            "precisions": ["fp16"] if model is DEFAULT_MODEL else ["fp32", *model.optional_files],
            "pulled": pulled.get(model.name),
        }
        for model in (DEFAULT_MODEL, *published_models())
    ]
