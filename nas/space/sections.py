"""The base classes of the sections of a search space file: pydantic models that refuse unknown keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from nas.space.faults import Fault, must_be_one_of
from nas.space.values import Choices, OptionValue


class Section(BaseModel):
    """A mapping in the file. An unknown key is a fault that names the known ones.

    shorthand      the types of a value that may stand for the whole mapping
    shorthand_key  the key that such a value then has: `early_stopping: asha` is `{rule: asha}`
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    shorthand: ClassVar[tuple[type, ...]] = ()
    shorthand_key: ClassVar[str] = "op"

    @model_validator(mode="before")
    @classmethod
    def _prepared(cls, data: Any) -> Any:
        data = {cls.shorthand_key: data} if isinstance(data, cls.shorthand) else data
        return cls._by_field(data) if isinstance(data, Mapping) else data

    @classmethod
    def _by_field(cls, data: Mapping[Any, Any]) -> Mapping[Any, Any]:
        """Return the data by the names of the model's fields."""
        check_keys(data, cls.model_fields)
        return data


def check_keys(data: Mapping[Any, Any], known: Collection[str]) -> None:
    """Raise Fault, at the first key that is not known."""
    for key in data:
        if key not in known:
            raise Fault(f"is unknown here: it {must_be_one_of(key, known)}", str(key))


class OpSection(Section):
    """A section about an op: every key that is not one of `keys` is an option of it, `{op: mbconv, kernel: [3, 5]}`."""

    keys: ClassVar[tuple[str, ...]] = ("op",)

    options: dict[str, Choices[OptionValue]] = Field(default_factory=dict)

    @classmethod
    def _by_field(cls, data: Mapping[Any, Any]) -> Mapping[Any, Any]:
        options = {str(key): value for key, value in data.items() if key not in cls.keys}
        return {key: value for key, value in data.items() if key in cls.keys} | {"options": options}

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler) -> Any:
        """Return the section as it is written in a file, with the options beside the other keys."""
        data = handler(self)
        flat = {key: data[key] for key in self.keys if data[key] is not None} | data["options"]
        return flat["op"] if self.shorthand and list(flat) == ["op"] else flat
