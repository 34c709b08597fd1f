"""`pixr models`: which models there are, and whether their files are whole."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pixr.cli.console import complain, is_terminal, print_json, print_table
from pixr.errors import ModelNotFound

__all__ = ["app"]

app = typer.Typer(help="List, get and verify models.", no_args_is_help=True, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list", help="List the models that are here.")
def list_models(as_json: AsJson = False) -> None:
    models = _models()
    if as_json:
        print_json({"models": models})
        return
    rows = [(m["name"], m["kind"], m["space"], f"{m['bytes'] / 1e6:.1f} MB", m["licence"], m["source"]) for m in models]
    print_table(("name", "kind", "space", "size", "licence", "from"), rows, right=("size",))


@app.command("pull", help="Get a model by name. What is embedded is here already.")
def pull(name: Annotated[str, typer.Argument(metavar="NAME")], as_json: AsJson = False) -> None:
    models = _models()
    for model in models:
        if model["name"] == name:
            if as_json:
                print_json({"model": model, "pulled": False})
            else:
                print(f"{name} comes with pixr; nothing to fetch.")
            return
    here = ", ".join(model["name"] for model in models)
    raise ModelNotFound(f"no source is known for a model named {name!r}; here are {here}")


@app.command("verify", help="Compare every file of every model with its length and SHA-256. 1 if one differs.")
def verify(as_json: AsJson = False) -> None:
    from pixr.encoders.registry import verify_models

    found = verify_models()
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


def _models() -> list[dict[str, Any]]:
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
