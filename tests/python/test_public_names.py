"""What one holds after `import pixr` can be named from there."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pixr

PACKAGE = Path(pixr.__file__).parent


def named_in_signatures() -> set[str]:
    """The words in capitals of every public annotation."""
    held = [getattr(pixr, name) for name in pixr.__all__]
    for one in filter(inspect.isclass, held.copy()):
        public = [value for name, value in inspect.getmembers(one) if name == "__init__" or name[0] != "_"]
        held += [value.fget if isinstance(value, property) else value for value in public]
    signatures = [inspect.signature(one) for one in filter(inspect.isfunction, held)]
    annotations = [str(one.annotation) for signature in signatures for one in signature.parameters.values()]
    annotations += [str(signature.return_annotation) for signature in signatures]
    return set(re.findall(r"\b[A-Z]\w+", " ".join(annotations)))


def defined_here() -> set[str]:
    """The classes and types of the package's own files."""
    found = set()
    for path in PACKAGE.glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Assign):
                found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def test_every_type_of_a_signature_can_be_imported_from_pixr() -> None:
    """Of what `search` takes and `transcript`, `chapters` and `reindex` return a caller could write no annotation."""
    named = named_in_signatures() & defined_here()
    assert {"Mode", "Caption", "Reindexed"} <= named
    # What strings, paths and lists of them are called inside; and what `pixr.open` makes a library of.
    assert named - {"Given", "LibraryEncoders"} <= set(pixr.__all__)


def test_every_public_name_is_there_once_and_says_what_it_is() -> None:
    assert len(set(pixr.__all__)) == len(pixr.__all__)
    for name in pixr.__all__:
        held = getattr(pixr, name)
        if inspect.isclass(held) or inspect.isfunction(held) or inspect.ismodule(held):
            assert inspect.getdoc(held), name


def test_what_docstrings_name_of_pixr_is_there_after_importing_it() -> None:
    """`transcript` sends one to `pixr.captions.write_captions`: an AttributeError until something had loaded it."""
    told = "\n".join(inspect.getdoc(getattr(pixr.Library, name)) or "" for name in dir(pixr.Library) if name[0] != "_")
    named = sorted(set(re.findall(r"`(pixr(?:\.[a-z_]+)+)", told)))
    assert "pixr.captions.write_captions" in named
    code = f"import pixr; [eval(name) for name in {named!r}]"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_a_library_shows_nothing_of_what_it_is_made_of() -> None:
    """The engine's handle and the loading of encoders were among what an editor offers after `library.`."""
    shown = {name for name in dir(pixr.Library) if name[0] != "_"}
    assert {"add", "search", "path"} <= shown
    assert not shown & {"engine", "encoders", "indexing_encoders", "remember_encoders", "forget_encoders"}
