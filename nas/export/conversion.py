"""A network as torch.export's program and as ONNX; run by proof.py, in an interpreter that does not know nas.

Either reads any number of samples and, of tokens, any number up to the context. Neither says where it was made.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

Forward = Callable[[Tensor], Tensor]


def convert(network: nn.Module, x: Tensor, context: int | None, paths: dict[str, Path]) -> dict[str, Forward]:
    """Write network.pt2, network.onnx, … to the `paths`; what each computes when it is loaded again.

    x is an input like those to come; context is the largest number of tokens, None for a network that reads none.
    """
    axes = {0: Dim("batch")}
    if context is not None and x.shape[1] > 1:
        axes[1] = Dim("tokens", max=context)
    with torch.no_grad():
        program = torch.export.export(network, (x,), dynamic_shapes=(axes,))
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # has paths of this machine
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
        node.metadata_props.clear()  # has paths of this machine
    made.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


WRITERS = {"onnx": _onnx, "pt2": _pt2}
