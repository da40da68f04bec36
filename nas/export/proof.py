"""Run by a fresh interpreter that knows torch but not nas: do these files compute what the built networks computed?

`python -I -S proof.py` reads a job from stdin as JSON: {"paths": where torch is, "threads": n, "cases": [{"code":
network.py, "weights": its weights, "expected": what the built network gave}]}. It prints, for every case, the
largest difference of logits and of gradients relative to the largest value (or to 1), and the time of a forward pass
of one sample; or an error.
"""

import json
import sys
import timeit
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader


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


def compare(code: str, weights: str, expected: str) -> dict[str, float]:
    """The differences of one file: eval logits of every batch, then gradients of mean(logits²) in train mode."""
    from safetensors.torch import load_file

    loader = SourceFileLoader("exported", code)
    spec = spec_from_loader("exported", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    network, known = module.load_weights(weights), load_file(expected)
    batches = sorted(name for name in known if name.startswith("input."))
    logits = max(difference(network(known[name]), known[name.replace("input", "logits")]) for name in batches)
    milliseconds = 1000 * min(timeit.repeat(lambda: network(known[batches[0]][:1]), number=1, repeat=3))
    network.train()
    network(known[batches[0]]).square().mean().backward()
    wanted = {name.removeprefix("gradient."): value for name, value in known.items() if name.startswith("gradient.")}
    got = {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}
    if got.keys() != wanted.keys():
        raise ValueError(f"other parameters have gradients: {sorted(got.keys() ^ wanted.keys())[:3]}")
    gradients = max((difference(got[name], wanted[name]) for name in got), default=0.0)
    return {"logits": logits, "gradients": gradients, "milliseconds": milliseconds}


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
