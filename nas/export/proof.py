"""Compare exported files with the networks that they were written from, in an interpreter with torch but without nas.

`python -I -S proof.py` reads a job from stdin as JSON: {"paths": folders to import torch from, "threads": n, "cases":
[{"code": network.py, "weights": file of its weights, "expected": file of the inputs, logits and gradients of the built
network, "formats": formats to write beside it, "context": see conversion.py, "onednn": whether a CPU may use oneDNN for
it}]}. It prints as JSON, for every case, the
largest difference of the logits, of the gradients and of the logits of every format, relative to the largest value (or
to 1, if that is larger), and the time of a forward pass of one sample in milliseconds; or an error.
"""

import json
import sys
import timeit
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any


def main() -> None:
    """Read the job, compare every case, and print the results."""
    job = json.load(sys.stdin)
    sys.path += job["paths"]
    sys.modules["nas"] = None  # type: ignore[assignment]  # so that `import nas` fails
    sys.dont_write_bytecode = True
    import torch

    torch.set_num_threads(job["threads"])
    results: list[dict[str, float] | dict[str, str]] = []
    for case in job["cases"]:
        try:
            torch.backends.mkldnn.enabled = case.pop("onednn")
            results.append(compare(**case))
        except Exception as error:  # noqa: BLE001  # every error of a file is reported
            results.append({"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"})
    print(json.dumps(results))


def compare(code: str, weights: str, expected: str, formats: list[str], context: int | None) -> dict[str, float]:
    """Return the differences of one file: logits in eval mode, and gradients of mean(logits²) in train mode.

    Raises ValueError if other parameters have gradients than in the built network.
    """
    from safetensors.torch import load_file

    network, known = load_module("exported", code).load_weights(weights), load_file(expected)
    batches = sorted(name for name in known if name.startswith("input."))
    first = known[batches[0]]

    def apart(forward: Any) -> float:
        return max(difference(forward(known[name]), known[name.replace("input", "logits")]) for name in batches)

    found = {"logits": apart(network)}
    found["milliseconds"] = 1000 * min(timeit.repeat(lambda: network(first[:1]), number=1, repeat=3))
    if formats:
        paths = {name: Path(code).with_suffix(f".{name}") for name in formats}
        conversion = load_module("conversion", str(Path(__file__).with_name("conversion.py")))
        written = conversion.convert(network, first, context, paths)
        found |= {name: apart(forward) for name, forward in written.items()}
    network.train()
    network(first).square().mean().backward()
    wanted = {name.removeprefix("gradient."): value for name, value in known.items() if name.startswith("gradient.")}
    got = {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}
    if got.keys() != wanted.keys():
        raise ValueError(f"other parameters have gradients: {sorted(got.keys() ^ wanted.keys())[:3]}")
    return found | {"gradients": max((difference(got[name], wanted[name]) for name in got), default=0.0)}


def load_module(name: str, path: str) -> Any:
    """Import the file under this name and return the module."""
    loader = SourceFileLoader(name, path)
    spec = spec_from_loader(name, loader)
    assert spec is not None
    made = module_from_spec(spec)
    loader.exec_module(made)
    return made


def difference(got: Any, wanted: Any) -> float:  # of tensors; torch is not imported yet
    """Return max |got − wanted| / max(1, max |wanted|); equal infinities, and two NaNs, do not differ."""
    if got.shape != wanted.shape:
        return float("inf")
    apart = (got - wanted).abs()
    apart[(got == wanted) | (got.isnan() & wanted.isnan())] = 0.0
    scale = wanted[wanted.isfinite()].abs().max().clamp(min=1.0) if wanted.isfinite().any() else 1.0
    largest = float((apart / scale).max()) if apart.numel() else 0.0
    return largest if largest == largest else float("inf")


if __name__ == "__main__":
    main()
