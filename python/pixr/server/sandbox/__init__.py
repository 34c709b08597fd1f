"""Sandboxes: what test keys act on. Each organization has one, with test clips, as new every morning (UTC)."""
