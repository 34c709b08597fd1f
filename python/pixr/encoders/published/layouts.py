"""Which layout a folder has. A new layout is one more reader in `LAYOUTS`."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from pixr.encoders.published import layout_hub, layout_immich, layout_manifest
from pixr.encoders.published.description import Description
from pixr.errors import ModelError


class LayoutReader(Protocol):
    """Describes a folder of one layout; None if the folder is of another."""

    def __call__(self, folder: Path, precision: str, *, gpu: bool) -> Description | None:
        """Read the folder."""


LAYOUTS: Final[tuple[tuple[str, LayoutReader], ...]] = (
    (layout_manifest.LOOKED_FOR, layout_manifest.read_manifest),
    (layout_immich.LOOKED_FOR, layout_immich.read_immich),
    (layout_hub.LOOKED_FOR, layout_hub.read_hub),
)


def describe_folder(folder: Path, precision: str = "auto", *, gpu: bool = False) -> Description:
    """Describe the model in a folder, the first layout that fits.

    Raises:
        ModelError: none fits; says what was looked for, and what is there.
    """
    for _, read in LAYOUTS:
        description = read(folder, precision, gpu=gpu)
        if description is not None:
            return description
    here = sorted(path.name + ("/" if path.is_dir() else "") for path in folder.iterdir())
    shown = ", ".join(here[:12]) + (", …" if len(here) > 12 else "") if here else "nothing"
    wanted = "; or ".join(looked_for for looked_for, _ in LAYOUTS)
    raise ModelError(f"no model of a known layout in {folder}: looked for {wanted}; there is {shown}")
