"""Augmentation: what moves, moves whole; labels go with their pixels; the same generator gives the same batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from nas import tasks
from nas.tasks.recipe import Recipe
from nas.topology.references import resnet
from nas.training.augment import augment
from nas.training.data import batches_of
from nas.training.evaluate import Evaluator

IMAGES = torch.arange(64 * 2 * 8 * 6, dtype=torch.float32).view(64, 2, 8, 6)
LABELS = torch.arange(64)


def augmented(targets: Tensor = LABELS, seed: int = 0, **options: object) -> tuple[Tensor, Tensor]:
    recipe = Recipe.model_validate(options)
    return augment(IMAGES, targets, recipe, torch.Generator().manual_seed(seed))


def test_flip_mirrors_about_half() -> None:
    images, labels = augmented(flip=True)
    kept = (images == IMAGES).flatten(1).all(1)
    assert torch.equal(images[~kept], IMAGES[~kept].flip(3)) and torch.equal(labels, LABELS)
    assert 16 < kept.sum() < 48


def test_translate_shows_a_window_of_the_reflected_image() -> None:
    images, _ = augmented(translate=2)
    padded = F.pad(IMAGES, (2, 2, 2, 2), mode="reflect")
    seen = set()
    for image, whole in zip(images, padded, strict=True):
        windows = {(y, x): whole[:, y : y + 8, x : x + 6] for y in range(5) for x in range(5)}
        seen |= {place for place, window in windows.items() if torch.equal(image, window)}
    assert len(seen) > 15 and {y for y, _ in seen} == {x for _, x in seen} == set(range(5))


def test_cutout_hides_a_square_of_each() -> None:
    images, _ = augment(torch.ones(64, 2, 8, 8), LABELS, Recipe(cutout=3), torch.Generator().manual_seed(0))
    hidden = (images == 0).sum((2, 3))
    assert torch.equal(hidden[:, 0], hidden[:, 1]) and hidden.max() == 9 and hidden.min() >= 4
    assert len({tuple(mask.flatten().tolist()) for mask in images[:, 0] == 0}) > 20


def test_labels_of_places_move_with_their_pixels() -> None:
    images, places = augmented(IMAGES[:, 0].long(), flip=True, translate=3)
    assert torch.equal(images[:, 0].long(), places) and not torch.equal(images, IMAGES)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_a_generator_fixes_it() -> None:
    options = {"flip": True, "translate": 2, "cutout": 2}
    assert torch.equal(augmented(**options)[0], augmented(**options)[0])
    assert not torch.equal(augmented(**options)[0], augmented(**options, seed=1)[0])


def test_training_alone_is_augmented(monkeypatch: pytest.MonkeyPatch) -> None:
    task, topology = tasks.get("digits"), resnet(8, input=(1, 8, 8), outputs=10)
    curves = {}
    for translate in (0, 1):
        trainer = Evaluator(task, Recipe(epochs=1, batch_size=64, translate=translate))
        curves[translate] = trainer.evaluate(topology, seed=0).curve[0]
    assert curves[0]["train_loss"] != curves[1]["train_loss"]
    data = batches_of(task.load().validation, "cpu")
    assert all(torch.equal(a[0], b[0]) for a, b in zip(data.ordered(50), data.ordered(50), strict=True))
