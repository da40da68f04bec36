"""Run by a fresh interpreter that knows torch but not nas: do these files compute what the built networks computed?

`python -I -S proof.py` reads a job from stdin as JSON: {"paths": where torch is, "threads": n, "cases": [{"code":
network.py, "weights": its weights, "expected": what the built network gave, "formats": those to write beside it,
"context": see conversion.py}]}. It prints, for every case, the largest difference of logits, of gradients and of the
logits of every format relative to the largest value (or to 1), and the time of a forward pass of one sample; or an
error.
"""

import json
import sys
import timeit
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any


def main() -> None:
    job = json.load(sys.stdin)
    sys.path += job["paths"]
    sys.modules["nas"] = None  # type: ignore[assignment]  # whoever imports it fails
    sys.dont_write_bytecode = True
    import torch

    torch.set_num_threads(job["threads"])
    results: list[dict[str, float] | dict[str, str]] = []
    for case in job["cases"]:
        try:
            results.append(compare(**case))
        except Exception as error:  # noqa: BLE001  # whatever a file does wrong is an answer
            results.append({"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"})
    print(json.dumps(results))


def compare(code: str, weights: str, expected: str, formats: list[str], context: int | None) -> dict[str, float]:
    """The differences of one file: eval logits of every batch, then gradients of mean(logits²) in train mode."""
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
    """The module in a file."""
    loader = SourceFileLoader(name, path)
    spec = spec_from_loader(name, loader)
    assert spec is not None
    made = module_from_spec(spec)
    loader.exec_module(made)
    return made


def difference(got, wanted) -> float:  # type: ignore[no-untyped-def]  # torch is not imported yet
    """max |got − wanted| / max(1, max |wanted|); 0 where both are the same infinity or both no number."""
    if got.shape != wanted.shape:
        return float("inf")
    apart = (got - wanted).abs()
    apart[(got == wanted) | (got.isnan() & wanted.isnan())] = 0.0
    scale = wanted[wanted.isfinite()].abs().max().clamp(min=1.0) if wanted.isfinite().any() else 1.0
    largest = float((apart / scale).max()) if apart.numel() else 0.0
    return largest if largest == largest else float("inf")


if __name__ == "__main__":
    main()
