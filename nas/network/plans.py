"""The constructor calls of a network as data: of a block with its joins and bypasses, and of the whole. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from nas.topology.geometry import Scalar

Kwargs = tuple[tuple[str, Scalar | tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One constructor call, `Basic(64, 128, stride=2)`. A name with a dot is torch's own class (`nn.ReLU`)."""

    name: str
    args: tuple[int, ...] = ()
    kwargs: Kwargs = ()

    def __str__(self) -> str:
        words = [*map(repr, self.args), *(f"{key}={value!r}" for key, value in self.kwargs)]
        return f"{self.name}({', '.join(words)})"


@dataclass(frozen=True, slots=True)
class BypassPlan:
    """The calls that turn a source into s = scale(project(resize(source))).

    source  the node at which the bypass starts
    short   whether that is the block's own input
    shared  whether F and the projection read the same activated input (pre-activation units)
    """

    source: int
    short: bool = False
    resize: Call | None = None
    project: Call | None = None
    scale: Call | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """The call of one join, f = join(f, s₁, …).

    bypasses  that it reads: several for a kind that mixes them
    first     the number of its first skip among those of the block, from 1
    """

    kind: str
    call: Call
    bypasses: tuple[BypassPlan, ...]
    first: int = 1

    @property
    def numbers(self) -> range:
        """The numbers of its skips."""
        return range(self.first, self.first + len(self.bypasses))


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """The calls of one block, y = after(join(… join(scale(norm(F(x))), s₁) …, sₙ)).

    norm      the norm of F(x) before the first join: of peri-norm Transformers (Kim et al. 2025, arXiv:2502.02732)
    scale     the factor on F(x)
    residual  whether F is a residual branch, which stochastic depth may leave out
    """

    transform: Call
    norm: Call | None = None
    scale: Call | None = None
    joins: tuple[JoinPlan, ...] = ()
    after: Call | None = None
    residual: bool = False

    @property
    def bypasses(self) -> tuple[BypassPlan, ...]:
        """All bypasses, in the order of their skips."""
        return tuple(bypass for join in self.joins for bypass in join.bypasses)

    @property
    def shared(self) -> bool:
        """Whether F and a projection read the same activated input."""
        return any(bypass.shared for bypass in self.bypasses)

    @property
    def calls(self) -> dict[str, Call]:
        """The calls of all modules, by their names in a built block.

        Those of the first skip are `resize`, `project`, `scale` and `join`, those of the second `resize2` and so on.
        """
        calls = {"transform": self.transform, "norm": self.norm, "branch": self.scale}
        for join in self.joins:
            for number, bypass in zip(join.numbers, join.bypasses, strict=True):
                own = {"resize": bypass.resize, "project": bypass.project, "scale": bypass.scale}
                calls |= {numbered(name, number): call for name, call in own.items()}
            calls[numbered("join", join.first)] = join.call
        calls["after"] = self.after
        return {name: call for name, call in calls.items() if call is not None}


@dataclass(frozen=True, slots=True)
class Blueprint:
    """The constructor calls of a whole network."""

    stem: Call
    blocks: tuple[BlockPlan, ...]
    head: Call

    @property
    def last_use(self) -> dict[int, int]:
        """Node → the last block that takes it as the source of a long skip; the node must be kept until then."""
        plans = enumerate(self.blocks, 1)
        return {bypass.source: number for number, plan in plans for bypass in plan.bypasses if not bypass.short}


def numbered(name: str, number: int) -> str:
    """Return the name of a module of the skip with this number around a block: `project`, `project2`."""
    return name if number == 1 else f"{name}{number}"
