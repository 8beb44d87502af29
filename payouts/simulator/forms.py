"""Reads the bracketed form encoding of API v1 (`metadata[payout_id]=7&types[]=a`) and types its values."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TypeAlias
from urllib.parse import parse_qsl

from payouts.simulator import problems
from payouts.simulator.problems import StripeProblem

Tree: TypeAlias = "dict[str, str | Tree]"

_INTEGER = re.compile(r"-?[0-9]+\Z")
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")
_INT64_MAX = 2**63 - 1
_DEPTH_MAX = 5
_METADATA_KEYS_MAX, _METADATA_KEY_LENGTH_MAX, _METADATA_VALUE_LENGTH_MAX = 50, 40, 500


def decode(encoded: bytes) -> Tree:
    """The nested texts of a form or a query string. A list (`a[]` or `a[0]`) becomes a dict by index.

    Raises StripeProblem (400) for broken UTF-8, unbalanced brackets, deep nesting, and a name that is both a
    text and a nest.
    """
    try:
        pairs = parse_qsl(
            encoded.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict", separator="&"
        )
    except (UnicodeDecodeError, ValueError) as broken:
        raise StripeProblem(400, "Invalid request: the parameters are not UTF-8 form data.") from broken
    tree: Tree = {}
    for name, value in pairs:
        _plant(tree, name, value)
    return tree


def _plant(tree: Tree, name: str, value: str) -> None:
    """Put one pair where its brackets say."""
    match = _NAME.match(name)
    steps = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])] if match else []
    if not 1 <= len(steps) <= _DEPTH_MAX:
        raise problems.invalid_text(name, f"Invalid parameter name: {name}")
    branch = tree
    for step in steps[:-1]:
        below = branch.setdefault(step or str(len(branch)), {})
        if isinstance(below, str):
            raise problems.invalid_text(
                steps[0], f"Invalid parameter: {steps[0]} is both a value and a nest."
            )
        branch = below
    leaf = steps[-1] or str(len(branch))
    if isinstance(branch.get(leaf), dict):
        raise problems.invalid_text(steps[0], f"Invalid parameter: {steps[0]} is both a value and a nest.")
    branch[leaf] = value


class Params:
    """The parameters of one call. Each is taken once by name and type; what is left then is unknown."""

    def __init__(self, tree: Tree, inside: str = "") -> None:
        self._left = dict(tree)
        self._inside = inside

    def _full(self, name: str) -> str:
        return f"{self._inside}[{name}]" if self._inside else name

    def optional_text(self, name: str, *, length_max: int = 5000) -> str | None:
        """A text; None when it is absent or empty (Stripe reads an empty value as "unset")."""
        value = self._left.pop(name, "")
        if isinstance(value, dict):
            raise problems.invalid_text(self._full(name), f"Invalid string: {self._full(name)} is a nest.")
        if len(value) > length_max:
            message = f"Invalid string: {self._full(name)}; must be at most {length_max} characters"
            raise problems.invalid_text(self._full(name), message)
        return value or None

    def text(self, name: str, *, length_max: int = 5000) -> str:
        """A text that must be there and not empty."""
        if name not in self._left:
            raise problems.missing_parameter(self._full(name))
        value = self.optional_text(name, length_max=length_max)
        if value is None:
            message = f"You passed an empty string for '{self._full(name)}', which cannot be unset."
            raise StripeProblem(400, message, code="parameter_invalid_empty", param=self._full(name))
        return value

    def choice(self, name: str, choices: Collection[str], default: str | None = None) -> str | None:
        """One of the choices; the default when it is absent."""
        value = self.optional_text(name)
        if value is not None and value not in choices:
            message = f"Invalid {self._full(name)}: must be one of {', '.join(sorted(choices))}"
            raise problems.invalid_text(self._full(name), message)
        return value or default

    def optional_integer(self, name: str) -> int | None:
        """A whole number within 64 bits, None when absent. `1.0`, `1e3` and `abc` are refused."""
        if name not in self._left:
            return None
        value = self._left.pop(name)
        if isinstance(value, dict) or not _INTEGER.match(value):
            raise problems.invalid_integer(self._full(name), str(value))
        # The length is asked first: Python refuses to read very long numbers at all.
        if len(value) > 20 or abs(int(value)) > _INT64_MAX:
            raise problems.invalid_integer(self._full(name), value[:40])
        return int(value)

    def optional_amount(self, name: str) -> int | None:
        """An amount in minor units, at least 1; None when absent."""
        value = self.optional_integer(name)
        if value is not None and value < 1:
            message = "This value must be greater than or equal to 1."
            raise StripeProblem(400, message, code="parameter_invalid_integer", param=self._full(name))
        return value

    def amount(self, name: str) -> int:
        """An amount in minor units, at least 1, that must be there."""
        value = self.optional_amount(name)
        if value is None:
            raise problems.missing_parameter(self._full(name))
        return value

    def flag(self, name: str) -> bool | None:
        """`true` or `false`; None when absent."""
        value = self.choice(name, ("true", "false"))
        return None if value is None else value == "true"

    def nest(self, name: str) -> Params:
        """The parameters inside `name[…]`; empty when absent."""
        value = self._left.pop(name, {})
        if isinstance(value, str):
            raise problems.invalid_text(self._full(name), f"Invalid object: {self._full(name)}")
        return Params(value, self._full(name))

    def has(self, name: str) -> bool:
        """Whether the parameter came."""
        return name in self._left

    def is_nest(self, name: str) -> bool:
        """Whether the parameter came with brackets."""
        return isinstance(self._left.get(name), dict)

    def texts(self, name: str) -> list[str]:
        """A list of texts, in the order sent."""
        inner = self.nest(name)
        return [inner.text(index) for index in list(inner._left)]

    def metadata(self) -> dict[str, str | None] | None:
        """Metadata to set, None values to unset their keys, {"": None} to unset all; None when absent."""
        given = self._left.pop("metadata", None)
        if given is None:
            return None
        if isinstance(given, str):
            if given:
                raise problems.invalid_text("metadata", "Invalid object: metadata")
            return {"": None}
        for key, value in given.items():
            if isinstance(value, dict):
                raise problems.invalid_text(f"metadata[{key}]", "Metadata values are texts.")
            if len(key) > _METADATA_KEY_LENGTH_MAX or len(value) > _METADATA_VALUE_LENGTH_MAX:
                message = "Metadata keys have at most 40 characters and values at most 500."
                raise problems.invalid_text(f"metadata[{key}]", message)
        if len(given) > _METADATA_KEYS_MAX:
            raise problems.invalid_text("metadata", "Metadata has at most 50 keys.")
        return {key: str(value) or None for key, value in given.items()}

    def refuse_the_rest(self) -> None:
        """Raises StripeProblem `parameter_unknown` for the first parameter that nobody took."""
        for name in self._left:
            raise problems.unknown_parameter(self._full(name))


def merged_metadata(before: dict[str, str], change: dict[str, str | None] | None) -> dict[str, str]:
    """Metadata after an update: keys are set one by one, emptied keys go, `metadata=` empties all."""
    if change is None:
        return before
    if change == {"": None}:
        return {}
    return {key: value for key, value in {**before, **change}.items() if value is not None}
