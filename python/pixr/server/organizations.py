"""Organizations: who owns videos, and on what plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from pixr.server.ids import new_id
from pixr.server.models import Organization

if TYPE_CHECKING:
    from pixr.server.settings import Settings

__all__ = ["create_organization", "find_organization", "first_organization", "list_organizations"]


def create_organization(
    session: Session, name: str, plan: str, *, region: str | None = None, sandbox: bool = False
) -> Organization:
    """Add an organization."""
    made = Organization(id=new_id("org"), name=name, plan=plan, region=region, sandbox=sandbox)
    session.add(made)
    session.flush()
    return made


def find_organization(session: Session, id: str) -> Organization | None:
    """An organization by its id."""
    return session.get(Organization, id)


def list_organizations(session: Session) -> list[Organization]:
    """All, oldest first."""
    return list(session.scalars(select(Organization).order_by(Organization.created, Organization.id)))


def first_organization(session: Session, settings: Settings) -> Organization:
    """The oldest organization; made if there is none. Where one library is served, it is the only one."""
    known = session.scalar(select(Organization).order_by(Organization.created, Organization.id).limit(1))
    if known is not None:
        return known
    name = settings.library.name.removesuffix(".pixr") if settings.library else "default"
    return create_organization(session, name, settings.default_plan)
