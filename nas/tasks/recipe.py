"""Recipe: how a candidate is trained, as plain data: the `train:` section of a space. No torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _no_switch(value: object) -> object:
    """Refuse a bool where a number is expected: YAML reads `yes` and `on` as True, which Python takes for 1."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not a switch")
    return value


Whole = Annotated[int, BeforeValidator(_no_switch)]
Number = Annotated[float, BeforeValidator(_no_switch), Field(allow_inf_nan=False)]


class Recipe(BaseModel):
    """Everything that training depends on except the seed: an optimiser on a one-cycle schedule, and the rest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Whole = Field(default=8, ge=1, description="passes over the training split")
    batch_size: Whole = Field(
        default=128,
        ge=1,
        description="samples in each step; every step has as many, the remainder of an epoch is left out "
        "(which samples are left out changes with every epoch)",
    )
    lr: Number = Field(default=0.1, gt=0, description="peak learning rate of the schedule")
    optimizer: Literal["sgd", "adamw"] = Field(default="sgd", description="SGD with Nesterov momentum, or AdamW")
    momentum: Number = Field(default=0.9, ge=0, lt=1, description="Nesterov momentum (0 is plain SGD); AdamW's beta1")
    weight_decay: Number = Field(
        default=5e-4,
        ge=0,
        description="L2 penalty in each step (AdamW: decoupled), on weights only, not on norms and biases (1-D)",
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
    init: Literal["he", "torch", "zero_residual"] = Field(
        default="he",
        description="weights of convolutions at the start: of He et al. 2015, or torch's own; zero_residual: He's, and "
        "0 for the norm that ends a residual branch (Goyal et al. 2017)",
    )
    drop_path: Number = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="stochastic depth: the chance that a sample goes without the last residual branch; that of earlier "
        "ones is smaller, linearly, and 0 for the first (Huang et al. 2016)",
    )
    flip: bool = Field(default=False, strict=True, description="mirror half of the training images")
    translate: Whole = Field(
        default=0, ge=0, description="shift training images by up to this many pixels; reflection fills the border"
    )
    cutout: Whole = Field(
        default=0, ge=0, description="side, in pixels, of a square that is hidden in each training image"
    )
    precision: Literal["float32", "bf16", "auto"] = Field(
        default="float32",
        description="bf16: products in bfloat16 (autocast), weights and sums in float32; auto: bf16 if the machine "
        "that starts the search has instructions for it; the run records the choice (before that, costs are computed "
        "for float32)",
    )
    memory: Literal["plain", "lean"] = Field(
        default="plain",
        description="lean: the outputs of normalisations, of the ReLUs after them and of GELUs are computed again in "
        "the backward pass instead of being kept; the function is the same, a DenseNet keeps half of its activations "
        "and takes a tenth more time",
    )

    @property
    def augmentation(self) -> tuple[str, ...]:
        """Return the fields in use that change training images."""
        return tuple(name for name in ("flip", "translate", "cutout") if getattr(self, name))
