"""Convert a network to a torch.export program and to ONNX; proof.py runs this in an interpreter without nas.

Both accept any number of samples and, for tokens, any length up to the context. Neither contains a path of the machine
that wrote it.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

Forward = Callable[[Tensor], Tensor]


def convert(network: nn.Module, x: Tensor, context: int | None, paths: dict[str, Path]) -> dict[str, Forward]:
    """Write the network in every format of `paths` (name → file); return name → the forward pass of the file, reloaded.

    x        an example input
    context  the largest number of tokens; None for a network that does not read tokens
    """
    axes = {0: Dim("batch")}
    if context is not None and x.shape[1] > 1:
        axes[1] = Dim("tokens", max=context)
    with torch.no_grad():
        program = torch.export.export(network, (x,), dynamic_shapes=(axes,))
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # it contains paths of this machine
    names = {place: str(axis.__name__) for place, axis in axes.items()}
    return {name: WRITERS[name](program, names, path) for name, path in paths.items()}


def _pt2(program: ExportedProgram, axes: dict[int, str], path: Path) -> Forward:
    torch.export.save(program, path)
    forward: Forward = torch.export.load(path).module()
    return forward


def _onnx(program: ExportedProgram, axes: dict[int, str], path: Path) -> Forward:
    import onnxruntime

    made = torch.onnx.export(
        program,
        dynamo=True,
        input_names=["x"],
        output_names=["logits"],
        dynamic_shapes=(axes,),
        verbose=False,
    )
    assert made is not None
    for node in made.model.graph.all_nodes():
        node.metadata_props.clear()  # it contains paths of this machine
    made.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


WRITERS = {"onnx": _onnx, "pt2": _pt2}
