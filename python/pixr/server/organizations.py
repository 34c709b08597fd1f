"""Organizations, which own videos and have a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from pixr.server.database import now
from pixr.server.ids import new_id
from pixr.server.models import Organization

if TYPE_CHECKING:
    from pixr.server.settings import Settings

__all__ = [
    "create_organization",
    "find_organization",
    "find_sandbox",
    "first_organization",
    "list_organizations",
    "sandbox_of",
]


def create_organization(session: Session, name: str, plan: str, *, region: str | None = None) -> Organization:
    """Add an organization."""
    made = Organization(id=new_id("org"), name=name, plan=plan, region=region)
    session.add(made)
    session.flush()
    return made


def sandbox_of(session: Session, organization: Organization) -> Organization:
    """The sandbox of an organization, on which its test keys act. An empty one is made if there is none."""
    if organization.sandbox:
        return organization
    known = find_sandbox(session, organization.id)
    if known is None:  # another transaction may be making it: wait for that
        session.refresh(organization, with_for_update={"key_share": True})
        known = find_sandbox(session, organization.id)
    if known is None:
        known = Organization(
            id=new_id("org_test"),
            name=f"{organization.name} (sandbox)",
            plan=organization.plan,
            region=organization.region,
            sandbox=True,
            sandbox_of=organization.id,
            sandbox_due=now(),
        )
        session.add(known)
        session.flush()
    return known


def find_sandbox(session: Session, organization: str) -> Organization | None:
    """The sandbox of an organization, if there is one."""
    return session.scalar(select(Organization).where(Organization.sandbox_of == organization))


def find_organization(session: Session, id: str) -> Organization | None:
    """An organization by its id."""
    return session.get(Organization, id)


def list_organizations(session: Session) -> list[Organization]:
    """All organizations except sandboxes, oldest first."""
    query = select(Organization).where(Organization.sandbox_of.is_(None))
    return list(session.scalars(query.order_by(Organization.created, Organization.id)))


def first_organization(session: Session, settings: Settings) -> Organization:
    """The oldest organization, which is made if there is none. If one library is served, it is the only one."""
    if known := list_organizations(session)[:1]:
        return known[0]
    name = settings.library.name.removesuffix(".pixr") if settings.library else "default"
    return create_organization(session, name, settings.default_plan)
