"""Values whose fields are declared as options of an INI file: `Config` and its sections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from msgspec import StructMeta

from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


class Option(Value, frozen=True):
    """How a field is read."""

    parse: Callable[[str], Any]
    default: Any
    key: str  # empty: the field's name
    variables: tuple[str, ...]  # of the environment, for files without the option


class _Declaration(Value, frozen=True):
    """What stands in place of a field's default value until its class is created."""

    default: Any
    option: Option | None
    secret: bool


def option(
    parse: Callable[[str], T],
    default: T,
    *,
    key: str = "",
    variables: tuple[str, ...] = (),
    secret: bool = False,
) -> T:
    """Declare a field that is an option; its `key` is by default the field's name.

    The first of the environment variables that is set counts if the file does not have the option.
    A secret is not shown.
    """
    declared = Option(parse, default, key, variables)
    return cast("T", _Declaration(default, declared, secret))


def secret(default: T) -> T:
    """Declare a field that is no option, and that is not shown."""
    return cast("T", _Declaration(default, None, secret=True))


class _OptionsType(StructMeta):
    """Creates the classes; a `dataclass` with the fields of `Config` takes 4 ms at each start."""

    options: Mapping[str, Option]  # by field
    secrets: frozenset[str]  # fields

    def __new__(
        cls,
        name: str,
        bases: tuple[type, ...],
        names: dict[str, Any],
        **settings: Any,  # noqa: ANN401
    ) -> _OptionsType:
        declared = {k: v for k, v in names.items() if isinstance(v, _Declaration)}
        names |= {field: each.default for field, each in declared.items()}
        created = super().__new__(cls, name, bases, names, **settings)
        created.options = {k: v.option for k, v in declared.items() if v.option is not None}
        created.secrets = frozenset(k for k, v in declared.items() if v.secret)
        return created


class Options(Value, frozen=True, metaclass=_OptionsType):
    """The base of the classes. Their representations do not show secrets."""

    def __repr__(self) -> str:
        """Return the fields that are not secret."""
        shown = (name for name in self.__struct_fields__ if name not in type(self).secrets)
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__name__}({fields})"
