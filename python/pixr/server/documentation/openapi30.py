"""Turns an OpenAPI 3.1 document into 3.0.3, for tools that read no newer one.

What 3.0 can't say is said as nearly as it can: a null type becomes `nullable`, `const` an enumeration of one, examples
of a schema its first example, `webhooks` the extension `x-webhooks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["to_openapi30"]

# Keywords of JSON Schema 2020-12 that 3.0 does not know and that only narrow what is valid.
_UNKNOWN = ("$schema", "$id", "$comment", "propertyNames", "contentMediaType", "contentEncoding", "patternProperties")
_SCHEMA_MAPS = ("properties",)
_SCHEMA_LISTS = ("allOf", "anyOf", "oneOf")
_SCHEMAS = ("items", "additionalProperties", "not")


def to_openapi30(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document in version 3.0.3; the one given is left as it is."""
    made: dict[str, Any] = {name: _node(value) for name, value in document.items() if name != "webhooks"}
    made["openapi"] = "3.0.3"
    made.pop("jsonSchemaDialect", None)
    licence = made.get("info", {}).get("license", {})
    if licence.pop("identifier", None) and "url" not in licence:
        licence["url"] = "https://www.apache.org/licenses/LICENSE-2.0"
    components = made.get("components", {})
    components["schemas"] = {name: _schema(one) for name, one in document["components"]["schemas"].items()}
    if "webhooks" in document:
        made["x-webhooks"] = _node(document["webhooks"])
    return made


def _node(value: Any) -> Any:
    """Anything that is not a schema; schemas are found under the key `schema`."""
    if isinstance(value, Mapping):
        return {
            name: _schema(child) if name == "schema" else child if name in ("example", "examples") else _node(child)
            for name, child in value.items()
        }
    if isinstance(value, list):
        return [_node(child) for child in value]
    return value


def _schema(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return schema  # true and false
    made: dict[str, Any] = {name: value for name, value in schema.items() if name not in _UNKNOWN}
    for name in _SCHEMA_MAPS:
        if name in made:
            made[name] = {key: _schema(value) for key, value in made[name].items()}
    for name in _SCHEMA_LISTS:
        if name in made:
            made[name] = [_schema(value) for value in made[name]]
    for name in _SCHEMAS:
        if name in made:
            made[name] = _schema(made[name])
    if "prefixItems" in made:
        made["items"] = {"anyOf": [_schema(value) for value in made.pop("prefixItems")]}
    if made.get("type") == "array" and "items" not in made:
        made["items"] = {}
    if "const" in made:
        made["enum"] = [made.pop("const")]
    if "examples" in made:
        examples = made.pop("examples")
        made.setdefault("example", examples[0] if examples else None)
    for bound, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(made.get(bound), (int, float)) and not isinstance(made[bound], bool):
            made[limit], made[bound] = made[bound], True
    _take_null(made)
    if "$ref" in made and len(made) > 1:  # 3.0 passes over whatever stands beside a reference
        made["allOf"] = [{"$ref": made.pop("$ref")}, *made.get("allOf", [])]
    return made


def _take_null(made: dict[str, Any]) -> None:
    """Say `nullable` where 3.1 lists null among types or alternatives."""
    kind = made.get("type")
    if isinstance(kind, list):
        others = [one for one in kind if one != "null"]
        if len(others) < len(kind):
            made["nullable"] = True
        made.pop("type")
        if len(others) == 1:
            made["type"] = others[0]
        elif others:
            made["anyOf"] = [{"type": one} for one in others]
    elif kind == "null":
        made.pop("type")
        made |= {"nullable": True, "enum": [None]}
    for name in ("anyOf", "oneOf"):
        given = made.get(name)
        if given is None:
            continue
        others = [one for one in given if one != {"nullable": True, "enum": [None]}]
        if len(others) == len(given):
            continue
        made["nullable"] = True
        made.pop(name)
        if len(others) > 1:
            made[name] = others
        elif "$ref" in others[0]:
            made["allOf"] = others
        else:
            made |= {key: value for key, value in others[0].items() if key not in made}
