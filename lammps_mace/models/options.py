"""What configurations of all families are made of; without JAX."""

from __future__ import annotations

import difflib
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

# Neither true nor 2.0 is a whole number, and no text is a number.
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
PositiveFloat = Annotated[float, Strict(), Field(ge=1e-6, le=1e6, allow_inf_nan=False)]
TotalCharge = Annotated[Whole, Field(ge=-(10**6), le=10**6)]  # e
_LONGEST_KEY = 60  # shown in a message


def printable(value: Any) -> Any:
    """Return ``value``; ValueError for text that would change a terminal."""
    if isinstance(value, str) and not value.isprintable():
        raise ValueError(f"{value[:60]!r} has characters that cannot be printed")
    return value


Name = Annotated[str, Field(max_length=200), BeforeValidator(printable)]


class Activation(StrEnum):
    """Activation functions of readouts, radial networks and embeddings."""

    TANH = "tanh"
    SILU = "silu"
    RELU = "relu"
    ELU = "elu"
    SWISH = "swish"
    SIGMOID = "sigmoid"
    NONE = "none"


class StrictModel(BaseModel):
    """A frozen pydantic model that refuses unknown keys and names the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        for key in data:
            if key not in cls.model_fields:
                shown = str(key)[:_LONGEST_KEY]
                near = difflib.get_close_matches(shown, cls.model_fields, n=1, cutoff=0.0)
                raise ValueError(
                    f"unknown key {shown!r} in {cls.__name__}; did you mean {near[0]!r}?"
                )
        return data
