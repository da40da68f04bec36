"""The cost of one module of a network: it runs once on tensors without data, and a tracker counts bytes and FLOPs.

The real module runs, so that no op is described twice. Fake tensors are used, and not torch's "meta" device, because
they follow autocast and choose the attention kernel of a real device.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.network.compat import FakeTensorMode, TorchDispatchMode, flop_formula, storage_key
from nas.network.lean import make_lean
from nas.network.modules import construct
from nas.network.network import JoinedBlock
from nas.network.plans import BlockPlan, Call

Forward = Callable[..., Tensor]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """The shape and type of a tensor; `grad` says whether it gets a gradient."""

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    grad: bool = True

    @property
    def nbytes(self) -> int:
        """The bytes of the tensor."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize

    @classmethod
    def of(cls, tensor: Tensor) -> TensorSpec:
        """Return the shape and type of `tensor`."""
        return cls(tuple(tensor.shape), tensor.dtype, tensor.requires_grad)

    def empty(self) -> Tensor:
        """Return an empty tensor of this shape and type; images are channels last, as in the training loop."""
        layout = torch.channels_last if len(self.shape) == 4 else torch.contiguous_format
        return torch.empty(self.shape, dtype=self.dtype, memory_format=layout).requires_grad_(self.grad)


@dataclass(frozen=True, slots=True)
class ModuleCost:
    """The cost of a stem, a block or a head for one batch; all but the first three figures are bytes.

    Neighbours share tensors: the input x, the sources s1, s2, … of long skips, the output y. `saves` names those that
    the part saves for its backward pass; `saved_bytes` counts all others. Peaks are above the memory in use when a pass
    begins, and include temporaries and results of the pass.

    params            the number of parameters
    flops             multiply-adds of the forward pass (of the whole batch)
    uncounted         ops of the forward pass that torch has no formula for
    weights           parameters and buffers
    gradients         the gradients of the parameters
    output            y
    output_bytes      the storage of y; 0 where it is that of x
    forward_peak      peak of the forward pass
    inference_peak    the same in evaluation, without gradients
    backward_peaks    peak of the backward pass, the gradient of y included, while these shared tensors were released
    shared_bytes      the storages of the shared tensors
    source_gradients  those of the gradients of s1, s2, …, which live until the backward pass arrives at their source
    """

    params: int
    flops: int
    uncounted: frozenset[str]
    weights: int
    gradients: int
    output: TensorSpec
    output_bytes: int
    saves: frozenset[str]
    saved_bytes: int
    forward_peak: int
    inference_peak: int
    backward_peaks: dict[frozenset[str], int]
    shared_bytes: dict[str, int]
    source_gradients: dict[str, int]

    def backward_peak(self, held: frozenset[str]) -> int:
        """Return the peak of the backward pass if others hold these shared tensors, too."""
        return max(
            peak + sum(self.shared_bytes[name] for name in held & gone) for gone, peak in self.backward_peaks.items()
        )


class _InputGradient(torch.autograd.Function):
    """A copy of a module's input, whose gradient is stored in `gradients` and passed no further."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, name: str, gradients: dict[str, Tensor]) -> Tensor:
        ctx.label, ctx.gradients = name, gradients
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *arrived: Tensor) -> tuple[None, None, None]:
        ctx.gradients[ctx.label] = arrived[0]
        return None, None, None


class CostTracker(TorchDispatchMode):
    """A count of the bytes of all storages that are made while it is active, except those of `excluded` tensors.

    A storage counts from the op that makes it to its last reference.

    live       bytes now
    peak       the most since restart()
    peaks      the same, apart for each set of watched storages that had gone by then
    flops      operations since restart() by torch's formulas (two for a multiply-add)
    uncounted  ops since restart() that compute something and have no formula
    """

    def __init__(self, excluded: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._excluded = {storage_key(tensor) for tensor in excluded}
        self.live = 0
        self._alive: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self.restart({})

    def restart(self, watched: dict[str, int]) -> None:
        """Reset the counts and peaks; a peak is kept for each set of `watched` storages that were released by then."""
        self.flops = 0
        self.uncounted: set[str] = set()
        self._watched = {key: name for name, key in watched.items()}
        self._released: frozenset[str] = frozenset()
        self.peaks = {self._released: self.live}

    @property
    def peak(self) -> int:
        """The most bytes since `restart`."""
        return max(self.peaks.values())

    def __contains__(self, key: int) -> bool:
        return key in self._alive

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        results = [*tensors_in(result)]
        made = [self._add(tensor) for tensor in results]
        self.peaks[self._released] = max(self.peaks.get(self._released, 0), self.live)
        formula = flop_formula(func)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
        elif (any(made) or _in_place(results, args, kwargs)) and func.overloadpacket.__name__ != "empty":
            self.uncounted.add(func.overloadpacket.__name__.removesuffix("_"))
        return result

    def _add(self, tensor: Tensor) -> bool:
        storage = tensor.untyped_storage()
        key, size = storage_key(tensor), storage.nbytes()
        if key in self._alive or key in self._excluded:
            return False
        self.live += size
        self._alive[key] = weakref.ref(storage, functools.partial(self._remove, key, size))
        return True

    def _remove(self, key: int, size: int, _: object) -> None:
        del self._alive[key]
        self.live -= size
        if key in self._watched:
            self._released |= {self._watched[key]}


def tensors_in(tree: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and values of dicts, in their order."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, tuple | list | dict):
        for branch in tree.values() if isinstance(tree, dict) else tree:
            yield from tensors_in(branch)


def _in_place(results: list[Tensor], args: Any, kwargs: Any) -> bool:
    """Return whether an operation returned one of its arguments: one that it has changed. A view is another object."""
    return any(result is argument for argument in tensors_in((args, kwargs)) for result in results)


@functools.lru_cache(maxsize=2**14)
def probe(
    part: BlockPlan | Call,
    x: TensorSpec,
    sources: tuple[TensorSpec, ...] = (),
    *,
    precision: str = "float32",
    memory: str = "plain",
    drop_path: float = 0.0,
    smoothing: float | None = None,
    without: tuple[str, ...] = (),
) -> ModuleCost:
    """Return the cost of a block, stem or head for one batch.

    x, sources  its input, and the sources of its long skips: the plan says their numbers, from 1
    smoothing   if given, the part is followed by the cross-entropy with this label smoothing
    without     names of parameters that belong to another part

    The others are settings of the recipe.
    """
    with FakeTensorMode():
        module = channels_last(JoinedBlock(part) if isinstance(part, BlockPlan) else construct(part))
        if memory == "lean":
            make_lean(module)
        if isinstance(module, JoinedBlock) and module.residual:
            module.drop_path = drop_path
        bypasses = part.bypasses if isinstance(part, BlockPlan) else ()
        read = ["x" if bypass.short else f"s{bypass.source}" for bypass in bypasses]
        run = functools.partial(_forward, module, read, precision, smoothing)
        given = {"x": x.empty()} | {f"s{place}": spec.empty() for place, spec in enumerate(sources, 1)}
        state = [*module.parameters(), *module.buffers(), *given.values()]
        training = _training(run, given, CostTracker(state))
        module.eval()
        inference = _inference(run, given, CostTracker(state))
    own = [parameter for name, parameter in module.named_parameters() if name not in without]
    gradients = sum(parameter.nbytes for parameter in own)
    return ModuleCost(
        params=sum(parameter.numel() for parameter in own),
        weights=gradients + sum(buffer.nbytes for buffer in module.buffers()),
        gradients=gradients,
        inference_peak=inference,
        **training,
    )


def channels_last(module: nn.Module) -> nn.Module:
    """Convert the weights of a module to channels last; `Module.to` cannot do this with fake parameters."""
    for owner in module.modules():
        for name, parameter in list(owner.named_parameters(recurse=False)):
            if parameter.ndim == 4:
                data = parameter.detach().contiguous(memory_format=torch.channels_last)
                setattr(owner, name, nn.Parameter(data))
    return module


def _forward(
    module: nn.Module, read: Sequence[str], precision: str, smoothing: float | None, **given: Tensor
) -> Tensor:
    """Return the output, or the loss, for x and the tensors that the skips read, by their names in `given`."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
        y = module(given["x"], *[given[name] for name in read])
    return y if smoothing is None else _loss(y.float(), smoothing)


def _loss(outputs: Tensor, smoothing: float) -> Tensor:
    """Return the cross-entropy of outputs (B, C, ...), or (B, T, C) of a language model."""
    outputs = outputs.transpose(1, 2) if outputs.ndim == 3 else outputs
    targets = torch.empty(outputs.shape[:1] + outputs.shape[2:], dtype=torch.int64)
    return F.cross_entropy(outputs, targets, label_smoothing=smoothing)


def _training(run: Forward, given: dict[str, Tensor], tracker: CostTracker) -> dict[str, Any]:
    """Run forward and backward once, releasing x, s and y as a network does; return the figures of ModuleCost."""
    gradients: dict[str, Tensor] = {}
    with tracker:
        shared = {name: _InputGradient.apply(tensor, name, gradients) for name, tensor in given.items()}
        before = tracker.live
        tracker.restart({})
        y = shared["y"] = run(**shared)
        found: dict[str, Any] = {
            "flops": tracker.flops // 2,
            "uncounted": frozenset(tracker.uncounted),
            "output": TensorSpec.of(y),
            "output_bytes": 0 if storage_key(y) == storage_key(shared["x"]) else y.untyped_storage().nbytes(),
            "forward_peak": tracker.peak - before,
        }
        keys = {name: storage_key(tensor) for name, tensor in shared.items()}
        sizes = {name: tensor.untyped_storage().nbytes() for name, tensor in shared.items()} | {
            "y": found["output_bytes"]
        }
        after = y * 1  # stands for what follows: hands y its gradient and saves nothing
        shared.clear()
        del y
        saves = frozenset(name for name, key in keys.items() if key in tracker)
        saved = tracker.live - after.nbytes - sum(sizes[name] for name in saves)
        keys.pop("y")
        backward = _backward(tracker, after, keys)
    arrived = {name: gradient.untyped_storage().nbytes() for name, gradient in gradients.items() if name != "x"}
    return found | {
        "saves": saves,
        "saved_bytes": saved,
        "backward_peaks": backward,
        "shared_bytes": sizes,
        "source_gradients": arrived,
    }


def _backward(tracker: CostTracker, after: Tensor, keys: dict[str, int]) -> dict[frozenset[str], int]:
    """Return the peaks of the backward pass from `after`, by which of the tensors with these keys were released."""
    gradient = torch.empty_like(after)
    before = tracker.live
    tracker.restart(keys)
    if after.requires_grad:
        after.backward(gradient)
    return {gone: peak - before for gone, peak in tracker.peaks.items()}


def _inference(run: Forward, given: dict[str, Tensor], tracker: CostTracker) -> int:
    """Return the peak of the forward pass in evaluation."""
    with torch.no_grad(), tracker:
        run(**given)
    return tracker.peak
