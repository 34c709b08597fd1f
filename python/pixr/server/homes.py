"""Finds the directory of each organization's data: in the data directory, or in that of its region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pixr.server.database import Database
from pixr.server.errors import ApiError
from pixr.server.models import Organization

__all__ = ["Home", "Homes"]


@dataclass(frozen=True)
class Home:
    """An organization's directory."""

    path: Path
    is_sandbox: bool


class Homes:
    """The directories of all organizations. An organization's region never changes, so each is looked up once."""

    def __init__(self, directory: Path, regions: Mapping[str, Path], database: Database) -> None:
        self._directory = directory
        self._regions = regions
        self._database = database
        self._known: dict[str, Home] = {}

    def find(self, organization: str) -> Home:
        """The organization's directory, which may not exist yet.

        Raises:
            ApiError: UNAVAILABLE, if this server's settings have no directory for its region.
        """
        if organization not in self._known:
            with self._database.read() as session:
                found = session.get(Organization, organization)
            region = found.region if found is not None else None
            if region is not None and region not in self._regions:
                raise ApiError("UNAVAILABLE", f"The region {region!r} is not served here.")
            root = self._directory if region is None else self._regions[region].absolute()
            home = Home(root / "organizations" / organization, found is not None and found.sandbox)
            if found is None:  # it may be made later, in a region
                return home
            self._known[organization] = home
        return self._known[organization]
