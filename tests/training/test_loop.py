"""The loop against torch's own optimiser and schedule, and what it promises about steps, seeds and syncs."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas import tasks
from nas.errors import Diverged, TaskError
from nas.tasks import Split, Splits, Task
from nas.tasks.recipe import Recipe
from nas.training import optimise
from nas.training.data import ResidentBatches
from nas.training.loop import score, train
from nas.training.optimise import AdamW, Sgd, one_cycle
from tests.helpers.syncs import Syncs

TASK = tasks.get("digits")


@pytest.fixture(scope="module")
def splits() -> Splits:
    torch.set_num_threads(1)
    return TASK.load()


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(256, 10)),
    )


def run(splits: Splits, recipe: Recipe, seed: int = 0, model: nn.Module | None = None) -> tuple[nn.Module, list[Any]]:
    model = model or network(seed)
    data, validation = ResidentBatches.of(splits.train, "cpu"), ResidentBatches.of(splits.validation, "cpu")
    return model, list(train(model, data, validation, TASK, recipe, seed=seed))


def without_seconds(curve: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in record.items() if name != "seconds"} for record in curve]


# ------------------------------------------------------------------------------------------------- optimiser and rate


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_torchs_to_the_bit(momentum: float) -> None:
    ours, theirs = network(), network()
    optimiser = Sgd(ours, Recipe(momentum=momentum, weight_decay=0.01))
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim > 1], "weight_decay": 0.01},
        {"params": [p for p in theirs.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    reference = torch.optim.SGD(groups, lr=1.0, momentum=momentum, nesterov=momentum > 0, fused=True)
    for step in range(5):
        inputs = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(step))
        for model in (ours, theirs):
            model(inputs).square().mean().backward()
        rate = 0.5 / (step + 1)
        reference.param_groups[0]["lr"] = reference.param_groups[1]["lr"] = rate
        optimiser.step(torch.tensor(rate))
        reference.step()
        reference.zero_grad()
    for mine, its in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, its) and mine.grad is None


def test_adamw_is_torchs_to_the_bit() -> None:
    ours, theirs = network(), network()
    optimiser = AdamW(ours, Recipe(optimizer="adamw", weight_decay=0.01))
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim > 1], "weight_decay": 0.01},
        {"params": [p for p in theirs.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, lr=torch.tensor(1.0), betas=(0.9, 0.99), fused=True)
    for step in range(5):
        inputs = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(step))
        for model in (ours, theirs):
            model(inputs).square().mean().backward()
        rate = torch.tensor(0.01 / (step + 1))
        reference.param_groups[0]["lr"] = reference.param_groups[1]["lr"] = rate
        optimiser.step(rate)
        reference.step()
        reference.zero_grad()
    for mine, its in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, its) and mine.grad is None


def test_only_weights_decay() -> None:
    model = network()
    before = [p.detach().clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    Sgd(model, Recipe(weight_decay=0.1, momentum=0.0)).step(torch.tensor(0.5))
    for p, old in zip(model.parameters(), before, strict=True):
        assert torch.allclose(p, old * (0.95 if p.ndim > 1 else 1.0))
        assert torch.equal(p, old) == (p.ndim == 1)


@pytest.mark.parametrize(("steps", "warmup"), [(100, 0.3), (37, 0.25), (8, 0.5)])
def test_one_cycle_is_torchs(steps: int, warmup: float) -> None:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=0.4, total_steps=steps, pct_start=warmup, cycle_momentum=False
    )
    expected = []
    for _ in range(steps):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if len(expected) < steps:
            schedule.step()
    assert torch.allclose(one_cycle(Recipe(lr=0.4, warmup=warmup), steps), torch.tensor(expected), atol=1e-7)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.3), (2, 0.0), (3, 0.3), (10, 0.0)])
def test_one_cycle_of_few_steps_stays_within_the_peak(steps: int, warmup: float) -> None:
    rates = one_cycle(Recipe(lr=0.4, warmup=warmup), steps)
    assert len(rates) == steps and (rates > 0).all() and (rates <= 0.4).all()
    assert rates.max() == pytest.approx(0.4)


# ------------------------------------------------------------------------------------------------------------- batches


def test_shuffled_batches_are_equal_and_drawn_anew() -> None:
    data = ResidentBatches(torch.arange(10.0)[:, None], torch.arange(10))
    generator = torch.Generator().manual_seed(0)
    epochs = [[targets.tolist() for _, targets in data.shuffled(3, generator)] for _ in range(20)]
    assert all([len(batch) for batch in epoch] == [3, 3, 3] for epoch in epochs)
    samples = [set(itertools.chain.from_iterable(epoch)) for epoch in epochs]
    assert all(len(seen) == 9 for seen in samples)
    assert len({str(epoch) for epoch in epochs}) == 20
    assert set.union(*samples) == set(range(10))  # nobody is left out for ever
    inputs, targets = next(data.shuffled(3, generator))
    assert torch.equal(inputs[:, 0], targets.float())


def test_ordered_batches_hold_every_sample_once() -> None:
    data = ResidentBatches(torch.arange(10.0)[:, None], torch.arange(10))
    assert [targets.tolist() for _, targets in data.ordered(4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_every_step_has_as_many_samples(splits: Splits) -> None:
    seen: list[int] = []
    model = network()
    model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])) if module.training else None)
    run(splits, Recipe(epochs=2, batch_size=200), model=model)
    assert seen == [200] * (2 * (1085 // 200))


def test_a_batch_larger_than_the_data_is_refused(splits: Splits) -> None:
    with pytest.raises(TaskError, match=r"batch_size <= 1085 must hold.*but got 1086"):
        run(splits, Recipe(batch_size=1086))


# ------------------------------------------------------------------------------------------------------------ training


def test_learns_digits(splits: Splits) -> None:
    _, curve = run(splits, Recipe(epochs=5, batch_size=64))
    assert curve[-1]["accuracy"] > 0.95 and curve[0]["accuracy"] < curve[-1]["accuracy"]
    assert [record["epoch"] for record in curve] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_same_seed_same_bits(splits: Splits, precision: str) -> None:
    recipe = Recipe.model_validate({"epochs": 2, "batch_size": 64, "precision": precision})
    (first, one), (second, two) = run(splits, recipe), run(splits, recipe)
    assert without_seconds(one) == without_seconds(two)
    states = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in states)
    assert without_seconds(run(splits, recipe, seed=1)[1]) != without_seconds(one)


def test_a_seed_orders_the_samples(splits: Splits) -> None:
    recipe = Recipe(epochs=1, batch_size=64)
    data, validation = ResidentBatches.of(splits.train, "cpu"), ResidentBatches.of(splits.validation, "cpu")
    curves = [list(train(network(0), data, validation, TASK, recipe, seed=seed)) for seed in (0, 1)]
    assert curves[0][0]["train_loss"] != curves[1][0]["train_loss"]


def test_adamw_learns_digits(splits: Splits) -> None:
    _, curve = run(splits, Recipe(epochs=5, batch_size=64, optimizer="adamw", lr=0.01))
    assert curve[-1]["accuracy"] > 0.95


def test_diverges_at_the_end_of_the_epoch(splits: Splits) -> None:
    with pytest.raises(Diverged, match="not finite in epoch 1"):
        run(splits, Recipe(lr=1e6, epochs=3))


def test_divergence_on_the_validation_split_counts(splits: Splits) -> None:
    poisoned = Splits(splits.train, Split(splits.validation.inputs * math.nan, splits.validation.targets), splits.test)
    with pytest.raises(Diverged, match="nan in validation"):
        run(poisoned, Recipe(epochs=1))


def test_clipping_bounds_the_step(splits: Splits) -> None:
    start = [p.detach().clone() for p in network().parameters()]
    moved = {}
    for clip in (1e-6, None):
        model, _ = run(splits, Recipe(epochs=1, weight_decay=0.0, momentum=0.0, grad_clip=clip))
        moved[clip] = sum((p - old).norm().item() for p, old in zip(model.parameters(), start, strict=True))
    assert moved[1e-6] < 1e-4 < moved[None]


def test_bf16_keeps_weights_in_float32_and_learns(splits: Splits) -> None:
    model, curve = run(splits, Recipe(epochs=5, batch_size=64, precision="bf16"))
    assert all(p.dtype == torch.float32 for p in model.parameters()) and curve[-1]["accuracy"] > 0.95
    assert without_seconds(curve) != without_seconds(run(splits, Recipe(epochs=5, batch_size=64))[1])


def test_label_smoothing_is_in_the_training_loss_alone(splits: Splits) -> None:
    floor = F.cross_entropy(torch.eye(10) * 4.4, torch.arange(10), label_smoothing=0.1).item()  # about the least
    _, smooth = run(splits, Recipe(epochs=8, batch_size=64, label_smoothing=0.1))
    _, hard = run(splits, Recipe(epochs=8, batch_size=64, label_smoothing=0.0))
    assert smooth[-1]["train_loss"] > 0.9 * floor > 2 * hard[-1]["train_loss"]
    assert smooth[-1]["loss"] < 0.8 * smooth[-1]["train_loss"]


def test_scores_are_those_of_a_plain_computation(splits: Splits) -> None:
    model, curve = run(splits, Recipe(epochs=2, batch_size=50))
    model.eval()
    with torch.no_grad():
        logits = model(torch.from_numpy(splits.validation.inputs)).double()
    targets = torch.from_numpy(splits.validation.targets)
    loss = (logits.logsumexp(1) - logits[torch.arange(len(targets)), targets]).mean().item()
    assert curve[-1]["loss"] == pytest.approx(loss, rel=1e-5)
    assert curve[-1]["accuracy"] == (logits.argmax(1) == targets).double().mean().item()
    scores = score(model, ResidentBatches.of(splits.validation, "cpu"), TASK, Recipe(batch_size=1000))
    assert scores["accuracy"] == curve[-1]["accuracy"] and scores["loss"] == pytest.approx(loss, rel=1e-5)


def test_the_host_does_not_look_inside_an_epoch(splits: Splits) -> None:
    with Syncs() as probe:
        torch.ones(()).item()
        assert probe.count == 1  # the probe sees a sync
        run(splits, Recipe(epochs=1, batch_size=64, grad_clip=1.0))
    assert probe.count == 1


def test_training_does_not_import_the_compiler() -> None:
    """torch._dynamo takes seconds to import, in every process of a search."""
    program = (
        "import sys\nfrom nas import tasks\nfrom nas.topology.references import resnet\n"
        "from nas.training import Evaluator\n"
        "from nas.tasks.recipe import Recipe\n"
        "topology = resnet(8, input=(1, 8, 8), outputs=10)\n"
        "Evaluator(tasks.get('digits'), Recipe(epochs=1, grad_clip=1.0)).evaluate(topology, seed=0)\n"
        "print('torch._dynamo' in sys.modules, 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_inputs_that_are_not_images_train_too() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(200, 6, generator=generator)
    split = Split(inputs.numpy(), (inputs.sum(1) > 0).long().numpy())
    task = Task("sums", input=(6,), outputs=2, load=lambda: Splits(split, split, split))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    data = ResidentBatches.of(split, "cpu")
    *_, last = train(model, data, data, task, Recipe(epochs=10, batch_size=20), seed=0)
    assert last["accuracy"] > 0.9


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_what_a_fused_kernel_reads_has_the_strides_of_the_parameter(
    splits: Splits, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    """CUDA's kernels refuse anything else; the CPU's do not care."""
    update, calls = getattr(optimise, optimizer), 0

    def checked(parameters: list[Tensor], *others: list[Tensor], **settings: Any) -> None:
        nonlocal calls
        calls += 1
        for tensors in others:
            of_their_shape = [(p, t) for p, t in zip(parameters, tensors, strict=False) if t.shape == p.shape]
            assert all(t.stride() == p.stride() for p, t in of_their_shape)
        update(parameters, *others, **settings)

    monkeypatch.setattr(optimise, optimizer, checked)
    convolutional = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(128, 10))
    run(splits, Recipe(epochs=1, optimizer=optimizer, lr=0.001), model=convolutional)
    assert calls == 2 * 8


def test_images_lie_channels_last(splits: Splits) -> None:
    layouts: list[bool] = []
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 10))
    model[0].register_forward_pre_hook(
        lambda module, args: layouts.append(args[0].is_contiguous(memory_format=torch.channels_last))
    )
    coloured = [Split(split.inputs.repeat(3, 1), split.targets) for split in (splits.train, splits.validation)]
    run(Splits(*coloured, splits.test), Recipe(epochs=1), model=model)
    weight: Tensor = model[0].weight  # type: ignore[assignment]
    assert all(layouts) and weight.is_contiguous(memory_format=torch.channels_last)
