"""The base of every section of a search space file: a pydantic model that refuses keys it does not know."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from nas.space.faults import Fault, must_be_one_of
from nas.space.values import Choices, OptionValue


class Section(BaseModel):
    """A mapping of the file. An unknown key is a fault that says which keys there are."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    shorthand: ClassVar[tuple[type, ...]] = ()  # what may be written for {meant: ...}
    meant: ClassVar[str] = "op"

    @model_validator(mode="before")
    @classmethod
    def _written_out(cls, data: Any) -> Any:
        data = {cls.meant: data} if isinstance(data, cls.shorthand) else data
        return cls._sorted_out(data) if isinstance(data, Mapping) else data

    @classmethod
    def _sorted_out(cls, data: Mapping[Any, Any]) -> Mapping[Any, Any]:
        check_keys(data, cls.model_fields)
        return data


def check_keys(data: Mapping[Any, Any], known: Collection[str]) -> None:
    """Raises Fault, at the key, unless every key is known."""
    for key in data:
        if key not in known:
            raise Fault(f"is unknown here: it {must_be_one_of(key, known)}", str(key))


class Flat(Section):
    """A section whose keys other than `keys` are options of an op: `{op: mbconv, kernel: [3, 5]}`."""

    keys: ClassVar[tuple[str, ...]] = ("op",)

    options: dict[str, Choices[OptionValue]] = Field(default_factory=dict)

    @classmethod
    def _sorted_out(cls, data: Mapping[Any, Any]) -> Mapping[Any, Any]:
        options = {str(key): value for key, value in data.items() if key not in cls.keys}
        return {key: value for key, value in data.items() if key in cls.keys} | {"options": options}

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler) -> Any:
        data = handler(self)
        flat = {key: data[key] for key in self.keys if data[key] is not None} | data["options"]
        return flat["op"] if self.shorthand and list(flat) == ["op"] else flat
