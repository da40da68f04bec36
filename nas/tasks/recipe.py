"""Recipe: how a candidate is trained. Plain data (the `train:` section of a space); no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _no_switch(value: object) -> object:
    """YAML reads `yes` and `on` as True, which would pass for the number 1."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not a switch")
    return value


Whole = Annotated[int, BeforeValidator(_no_switch)]
Number = Annotated[float, BeforeValidator(_no_switch), Field(allow_inf_nan=False)]


class Recipe(BaseModel):
    """An optimiser on a one-cycle schedule: everything that training depends on but the seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Whole = Field(default=8, ge=1, description="passes over the training split")
    batch_size: Whole = Field(
        default=128,
        ge=1,
        description="samples a step; every step has as many, the remainder of an epoch is left out "
        "(which samples these are changes with every epoch)",
    )
    lr: Number = Field(default=0.1, gt=0, description="peak learning rate of the schedule")
    optimizer: Literal["sgd", "adamw"] = Field(default="sgd", description="SGD with Nesterov momentum, or AdamW")
    momentum: Number = Field(default=0.9, ge=0, lt=1, description="Nesterov momentum (0 is plain SGD); AdamW's beta1")
    weight_decay: Number = Field(
        default=5e-4,
        ge=0,
        description="L2 penalty a step (AdamW: decoupled), on weights only: norms and biases (1-D) have none",
    )
    label_smoothing: Number = Field(
        default=0.1, ge=0, lt=1, description="share of the target spread evenly over all classes"
    )
    warmup: Number = Field(
        default=0.3, ge=0, lt=1, description="share of all steps during which the learning rate rises"
    )
    grad_clip: Number | None = Field(
        default=None, gt=0, description="largest L2 norm of the whole gradient; null does not clip"
    )
    flip: bool = Field(default=False, strict=True, description="mirror half of the training images")
    translate: Whole = Field(
        default=0, ge=0, description="shift training images by up to so many pixels; what comes in is reflected"
    )
    cutout: Whole = Field(default=0, ge=0, description="hide a square of so many pixels of each training image")
    precision: Literal["float32", "bf16", "auto"] = Field(
        default="float32",
        description="bf16: products in bfloat16 (autocast), weights and sums in float32; auto: bf16 where the machine "
        "that starts the search has instructions for it, which the run then records (until then priced as float32)",
    )

    memory: Literal["plain", "lean"] = Field(
        default="plain",
        description="lean: what a normalisation, the ReLU behind it or a GELU made is computed again in the backward "
        "pass instead of kept; the same function, half of a DenseNet's activations for a tenth more time",
    )

    @property
    def augmentation(self) -> tuple[str, ...]:
        """The fields that change training images."""
        return tuple(name for name in ("flip", "translate", "cutout") if getattr(self, name))
