"""Limits how deep a document may go and what it may cost, before any of it is answered.

A field with selections costs 1, or what `_OWN` says, and the cost of its selections. A list costs that for each item: a
page has as many items as its limit, any other list as many as `_LIST` says. Scalars cost nothing. So
`videos(limit: 50) { videos { title } }` costs 51. Each fragment is measured only once, so that fragments which spread
fragments do not take long (Strawberry's own extensions walk through every path).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
)
from strawberry.extensions import SchemaExtension

__all__ = ["DocumentLimits", "measure"]

# What a field costs by itself.
_OWN = {"search": 10, "chapters": 10, "analytics": 5, "searchAnalytics": 5}
# How many things a list has where nothing says how many.
_LIST = {
    "moments": 5,
    "matches": 10,
    "facets": 5,
    "values": 20,
    "chapters": 30,
    "topQueries": 20,
    "queriesWithoutResults": 20,
    "webhookEndpoints": 50,
}
# Fields that give a page, the lists in them, and how many are on a page that says nothing else.
_PAGED = ("search", "videos")
_ON_PAGE = ("results", "videos", "result")
_PAGE = 20
_ENDLESS = 10**9


@dataclass
class Measure:
    """Measures how deep a document goes, and what it costs."""

    depth: int
    cost: int


@dataclass
class _Measuring:
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]
    known: dict[tuple[str, int | None], Measure] = field(default_factory=dict)

    def selections(self, node: SelectionSetNode | None, page: int | None) -> Measure:
        """The depth and cost of selections in a page of so many items; None at the root."""
        depth, cost = 0, 0
        for selection in node.selections if node is not None else ():
            if isinstance(selection, FieldNode):
                one = self.field(selection, page)
            elif isinstance(selection, InlineFragmentNode):
                one = self.selections(selection.selection_set, page)
            elif isinstance(selection, FragmentSpreadNode):
                one = self.fragment(selection.name.value, page)
            else:
                continue
            depth, cost = max(depth, one.depth), min(_ENDLESS, cost + one.cost)
        return Measure(depth, cost)

    def field(self, node: FieldNode, page: int | None) -> Measure:
        name = node.name.value
        if node.selection_set is None or name.startswith("__"):  # introspection has rules of its own
            return Measure(1, 0 if page is not None else 1)
        if page is None:
            inner = self.selections(node.selection_set, self.page(node) if name in _PAGED else 1)
        else:
            inner = self.selections(node.selection_set, page)
        many = page if page is not None and name in _ON_PAGE else _LIST.get(name, 1)
        own = _OWN.get(name, 0 if name in _LIST or many > 1 else 1)
        each = inner.cost + (1 if name in _LIST or many > 1 else 0)
        return Measure(1 + inner.depth, min(_ENDLESS, own + many * each))

    def fragment(self, name: str, page: int | None) -> Measure:
        key = (name, page)
        if key not in self.known and name in self.fragments:
            self.known[key] = Measure(0, 0)  # for one that is part of itself, which validation refuses
            self.known[key] = self.selections(self.fragments[name].selection_set, page)
        return self.known.get(key, Measure(0, 0))

    def page(self, node: FieldNode) -> int:
        """How many items a page has at most."""
        arguments = {one.name.value: self.value(one.value) for one in node.arguments or ()}
        asked = arguments.get("input")
        page = asked.get("pagination") if isinstance(asked, Mapping) else None
        limit = page.get("limit") if isinstance(page, Mapping) else arguments.get("limit")
        return int(limit) if isinstance(limit, int | float) and limit > 0 else _PAGE

    def value(self, node: ValueNode | None) -> Any:
        if isinstance(node, VariableNode):
            return self.variables.get(node.name.value)
        if isinstance(node, IntValueNode):
            return int(node.value)
        if isinstance(node, ObjectValueNode):
            return {one.name.value: self.value(one.value) for one in node.fields}
        return None


def measure(document: DocumentNode, operation: str | None, variables: Mapping[str, Any] | None) -> Measure:
    """The operation of this name, or without a name all operations of the document."""
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    most = Measure(0, 0)
    for one in document.definitions:
        if not isinstance(one, OperationDefinitionNode):
            continue
        if operation is None or (one.name is not None and one.name.value == operation):
            measuring = _Measuring(fragments, {})
            defaults = {
                each.variable.name.value: measuring.value(each.default_value) for each in one.variable_definitions or ()
            }
            measuring.variables = defaults | dict(variables or {})
            found = measuring.selections(one.selection_set, None)
            most = Measure(max(most.depth, found.depth), max(most.cost, found.cost))
    return most


class DocumentLimits(SchemaExtension):
    """Refuses documents that go too deep or cost too much, with the code INVALID_QUERY."""

    def __init__(self, most_depth: int, most_cost: int) -> None:
        self._most_depth = most_depth
        self._most_cost = most_cost

    def on_validate(self) -> Iterator[None]:
        """Check before validation, which a malicious document could make take long."""
        context = self.execution_context
        if context.graphql_document is not None:
            found = measure(context.graphql_document, context.operation_name, context.variables)
            for name, got, most in (
                ("deep", found.depth, self._most_depth),
                ("costly", found.cost, self._most_cost),
            ):
                if got > most:
                    detail = f"The query is too {name}: {got}, and at most {most} is answered."
                    code = {"code": "INVALID_QUERY", "status": 422, "got": got, "most": most}
                    context.pre_execution_errors = [GraphQLError(detail, extensions=code)]
                    break
        yield
