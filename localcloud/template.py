"""CloudFormation's language: YAML with its tags, and the intrinsic functions.

Resolves the values of a template; knows no resources. Anything unsupported is a `TemplateError`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

NO_VALUE = object()  # the value of `Ref: AWS::NoValue`, which removes its key or item


class TemplateError(Exception):
    """The template is invalid, or uses a feature that the local stack does not support."""


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, e.g. `!Ref Queue`."""


def _construct_intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _construct_intrinsic)


def read_template(path: Path) -> dict[str, Any]:
    """Read a template; short forms of intrinsics become long forms."""
    template = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    if not isinstance(template, dict) or "Resources" not in template:
        msg = f"{str(path)!r} is not a template: it has no Resources"
        raise TemplateError(msg)
    return template


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolves values of a template.

    `references` has the values of `Ref` for parameters, pseudo parameters and resources;
    `attributes` those of `GetAtt`, by (resource, attribute).
    """

    references: Mapping[str, Any]
    attributes: Mapping[tuple[str, str], str]
    mappings: Mapping[str, Any]
    conditions: Mapping[str, Any]

    def resolve(self, value: Any) -> Any:
        """Resolve a value and everything in it."""
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        intrinsic = next((key for key in value if key == "Ref" or key.startswith("Fn::")), None)
        if intrinsic is None:
            members = {key: self.resolve(member) for key, member in value.items()}
            return {key: member for key, member in members.items() if member is not NO_VALUE}
        functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._reference,
            "Fn::GetAtt": lambda names: self._attribute(*names),
            "Fn::Sub": self._substitute,
            "Fn::FindInMap": self._find_in_map,
            "Fn::If": self._choose,
            # As text: the value of a parameter is text, even where its type is Number.
            "Fn::Equals": lambda sides: len({str(self.resolve(side)) for side in sides}) == 1,
            "Fn::Not": lambda sides: not self._holds(sides[0]),
            "Fn::And": lambda sides: all(self._holds(side) for side in sides),
            "Fn::Or": lambda sides: any(self._holds(side) for side in sides),
            "Fn::Join": self._join,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
        }
        if len(value) > 1 or intrinsic not in functions:
            msg = f"the local stack does not support the intrinsic {value!r}"
            raise TemplateError(msg)
        return functions[intrinsic](value[intrinsic])

    def _reference(self, name: str) -> Any:
        if name not in self.references:
            msg = f"the template refers to {name!r}, which does not exist"
            raise TemplateError(msg)
        return self.references[name]

    def _attribute(self, resource: str, attribute: str) -> str:
        if (resource, attribute) not in self.attributes:
            msg = f"the local stack does not know the attribute {attribute!r} of {resource!r}"
            raise TemplateError(msg)
        return self.attributes[resource, attribute]

    def _substitute(self, arguments: Any) -> str:
        text, values = (arguments, {}) if isinstance(arguments, str) else arguments

        def value_of(match: re.Match[str]) -> str:
            if match[1] in values:
                return str(self.resolve(values[match[1]]))
            name, dot, attribute = match[1].partition(".")
            return str(self._attribute(name, attribute) if dot else self._reference(name))

        return re.sub(r"\$\{([A-Za-z0-9:.]+)\}", value_of, text)

    def _find_in_map(self, keys: list[Any]) -> Any:
        name, first, second = self.resolve(keys)
        try:
            return self.mappings[name][first][second]
        except KeyError as error:
            msg = f"the template's mappings have no {f'{name}.{first}.{second}'!r}"
            raise TemplateError(msg) from error

    def _join(self, arguments: list[Any]) -> str:
        delimiter, parts = self.resolve(arguments)
        return str(delimiter).join(map(str, parts))

    def _select(self, arguments: list[Any]) -> Any:
        index, items = self.resolve(arguments)
        return items[int(index)]

    def _split(self, arguments: list[Any]) -> list[str]:
        delimiter, text = self.resolve(arguments)
        return str(text).split(delimiter)

    def _choose(self, branches: list[Any]) -> Any:
        name, then, otherwise = branches
        return self.resolve(then if self.condition(name) else otherwise)

    def condition(self, name: str) -> bool:
        """Return whether one of the template's conditions holds."""
        if name not in self.conditions:
            msg = f"the template has no condition {name!r}"
            raise TemplateError(msg)
        return self._holds(self.conditions[name])

    def _holds(self, value: Any) -> bool:
        if isinstance(value, dict) and value.keys() == {"Condition"}:
            return self.condition(value["Condition"])
        return bool(self.resolve(value))
