"""Where the time of a captured step goes, and what its convolutions would take alone with cuDNN's fastest kernels."""

from __future__ import annotations

import functools
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import bare
from benchmarks.card.machine import Goal, Machine, Row
from nas.network import build
from nas.topology import references
from nas.training.capture import CapturedStep
from nas.training.evaluate import make_cuda_deterministic
from nas.training.optimise import OPTIMISERS

TITLE = "A captured step of ResNet-20 (3×32×32): milliseconds, by kernels, and its convolutions alone"
SECONDS = 90
ROW = 5
KINDS = {  # part of a kernel's name, in lower case → kind; the first that fits
    "bn_": "norm",
    "batch_norm": "norm",
    "batchnorm": "norm",
    "wgrad": "convolution",
    "dgrad": "convolution",
    "fprop": "convolution",
    "conv": "convolution",
    "xmma": "convolution",
    "cutlass": "convolution",
    "gemm": "convolution",
    "nhwc": "layout",
    "nchw": "layout",
    "elementwise": "elementwise",
    "reduce": "reduction",
    "multi_tensor": "optimiser",
    "memcpy": "copy",
    "memset": "copy",
}


def rows(machine: Machine) -> Iterator[Row]:
    """Yield a row for each precision, deterministic (as a search trains) and not."""
    batch, repeats = (2, 1) if machine.tiny else (512, 30)
    for deterministic in (True, False):
        for precision in ("float32", "bf16"):
            if machine.card:
                make_cuda_deterministic()
                torch.use_deterministic_algorithms(deterministic, warn_only=True)
            step = Step(machine, batch, precision)
            row: Row = {"precision": precision, "deterministic": deterministic, "batch": batch}
            row["step, ms"] = milliseconds(machine, step.advance, repeats)
            row["eager, ms"] = milliseconds(machine, step.eager, repeats)
            row["its convolutions alone, ms"] = convolutions(machine, step, repeats)
            row["share"] = round(row["its convolutions alone, ms"] / row["step, ms"], 2)
            yield row | step.by_kernel(machine)


def goals(rows: list[Row]) -> Iterator[Goal]:
    """Yield no goal: the share says what is left to gain."""
    return iter(())


class Step:
    """One training step of ResNet-20, captured and eager, on one batch."""

    def __init__(self, machine: Machine, batch: int, precision: str) -> None:
        torch.manual_seed(0)
        self.bf16, self.shapes = precision == "bf16", Counter[tuple[Any, ...]]()
        network = build(references.resnet(20)).to(machine.device).to(memory_format=torch.channels_last).train()
        self.network = network
        optimiser = OPTIMISERS["sgd"](network, bare.recipe())
        inputs = torch.randn(batch, 3, 32, 32, device=machine.device).to(memory_format=torch.channels_last)
        targets = torch.randint(10, (batch,), device=machine.device)
        rate = torch.tensor(0.01, device=machine.device)

        def step(inputs: Tensor, targets: Tensor, rate: Tensor) -> Tensor:
            with torch.autocast(machine.device.type, torch.bfloat16, enabled=self.bf16, cache_enabled=False):
                outputs = network(inputs)
            loss = nn.functional.cross_entropy(outputs.float(), targets, label_smoothing=0.1)
            torch.autograd.backward(loss)
            optimiser.step(rate)
            return loss.detach()

        captured = CapturedStep(step, machine.graph(), network)
        self.eager: Callable[[], Tensor] = functools.partial(step, inputs, targets, rate)
        self.advance: Callable[[], Tensor] = functools.partial(captured, inputs, targets, rate)
        self._note_shapes()
        for _ in range(CapturedStep.WARM_UP_CALLS + 2):
            self.advance()

    def _note_shapes(self) -> None:
        """Count the convolutions by input shape, weight shape, stride and padding, in one eager step."""

        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            assert isinstance(module, nn.Conv2d)
            self.shapes[tuple(inputs[0].shape), tuple(module.weight.shape), module.stride, module.padding] += 1

        hooks = [m.register_forward_hook(note) for m in self.network.modules() if isinstance(m, nn.Conv2d)]
        self.eager()
        for hook in hooks:
            hook.remove()

    def by_kernel(self, machine: Machine) -> Row:
        """Return milliseconds of a replayed step by kinds of kernels, and the names of the three longest."""
        if not machine.card:
            return {}
        activities = [torch.profiler.ProfilerActivity.CUDA]
        with torch.profiler.profile(activities=activities) as profile:
            for _ in range(5):
                self.advance()
            torch.cuda.synchronize()
        kinds, names = Counter[str](), Counter[str]()
        for event in profile.key_averages():
            taken = event.self_device_time_total / 5000
            kind = next((kind for part, kind in KINDS.items() if part in event.key.lower()), "other")
            kinds[kind] += taken
            names[event.key[:60]] += taken
        longest = "; ".join(f"{name} {taken:.2f}" for name, taken in names.most_common(12))
        return {f"{kind}, ms": round(taken, 3) for kind, taken in sorted(kinds.items())} | {"longest": longest}


def milliseconds(machine: Machine, work: Callable[[], object], repeats: int) -> float:
    """Return the median time of `work`, of which a few in a row are waited for together."""
    taken = []
    for _ in range(repeats):
        machine.synchronise()
        began = time.perf_counter()
        for _ in range(ROW):
            work()
        machine.synchronise()
        taken.append(1e3 * (time.perf_counter() - began) / ROW)
    return round(statistics.median(taken), 3)


def convolutions(machine: Machine, step: Step, repeats: int) -> float:
    """Return the milliseconds of the step's convolutions, forward and backward, each with its fastest kernel.

    The inputs have the type of the operation already: no cast is counted. The gradient of the images is not computed.
    """
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
    total = 0.0
    for (shape, weight_shape, stride, padding), count in step.shapes.items():
        dtype = torch.bfloat16 if step.bf16 else torch.float32
        x, w = (
            torch.randn(of, device=machine.device, dtype=dtype).contiguous(memory_format=torch.channels_last)
            for of in (shape, weight_shape)
        )
        y = nn.functional.conv2d(x, w, None, stride, padding)
        mask = [shape[1] > 3, True, False]

        def both(
            x: Tensor = x, w: Tensor = w, g: Tensor = y, stride: Any = stride, padding: Any = padding, mask: Any = mask
        ) -> Tensor:
            nn.functional.conv2d(x, w, None, stride, padding)
            grads = torch.ops.aten.convolution_backward(g, x, w, None, stride, padding, [1, 1], False, [0, 0], 1, mask)
            result: Tensor = grads[1]
            return result

        captured = CapturedStep(both, machine.graph(), step.network)
        for _ in range(CapturedStep.WARM_UP_CALLS + 2):
            captured()
        total += count * milliseconds(machine, captured, repeats)
    torch.backends.cudnn.benchmark = False
    return round(total, 3)
