"""Faults: a mistake in a search space file becomes one line of one form.

    digits.yaml:7: network.stages[2].op: must be one of conv, basic, …, but got 'basik' (did you mean 'basic'?)

Stages and the values of a list are numbered from 1, as in the names of parameters (`stage2.op`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from nas.errors import expected, quoted

Path = tuple[str | int, ...]


class Fault(ValueError):
    """A search space breaks a rule. str(fault) is the rule and the value.

    path  the keys and places that lead to the value, from the section that raises the fault
    """

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.path: Path = path

    def below(self, *path: str | int) -> Fault:
        """Return the same fault with `path` before its own path, for a section that contains this one."""
        return Fault(str(self), *path, *self.path)


def must_be_one_of(got: object, allowed: Any) -> str:
    """Return the text "must be one of a, b, but got 'x' (did you mean …?)"."""
    return expected("it", got, allowed).removeprefix("it ")


# the type of an error that pydantic reports → the rule in our words; `context` holds the bounds that a field declares
RULES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "int_type": lambda context: "must be a whole number",
    "int_parsing": lambda context: "must be a whole number",
    "int_from_float": lambda context: "must be a whole number",
    "float_type": lambda context: "must be a number",
    "float_parsing": lambda context: "must be a number",
    "finite_number": lambda context: "must be a finite number",
    "string_type": lambda context: "must be a word",
    "bool_type": lambda context: "must be true or false",
    "tuple_type": lambda context: "must be a list",
    "list_type": lambda context: "must be a list",
    "dict_type": lambda context: "must be a mapping of keys to values",
    "model_type": lambda context: "must be a mapping of keys to values",
    "greater_than": lambda context: f"must be more than {context['gt']:g}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']:g}",
    "less_than": lambda context: f"must be less than {context['lt']:g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:g}",
    "too_short": lambda context: f"must have at least {context['min_length']} value",
    "string_too_long": lambda context: f"must have at most {context['max_length']} characters",
    "too_long": lambda context: f"must have at most {context['max_length']} values",
}


def first_fault(error: ValidationError) -> Fault:
    """Return the first error of pydantic as a fault, with its rule in our words."""
    found = error.errors(include_url=False)[0]
    context = found.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Fault):
        return Fault(str(cause), *found["loc"], *cause.path)
    if found["type"] == "missing":
        return Fault("is missing", *found["loc"])
    if found["type"] == "literal_error":
        return Fault(must_be_one_of(found["input"], re.findall(r"'([^']*)'", context["expected"])), *found["loc"])
    if found["type"] in RULES:
        return Fault(f"{RULES[found['type']](context)}, but got {quoted(found['input'])}", *found["loc"])
    message = str(cause) if cause is not None else f"{found['msg']}, but got {quoted(found['input'])}"
    return Fault(message, *found["loc"])
