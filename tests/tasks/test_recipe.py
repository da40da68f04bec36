"""The recipe: what YAML gives is taken or refused."""

import pytest
import yaml
from pydantic import ValidationError

from nas.tasks.recipe import Recipe


def recipe(text: str) -> Recipe:
    return Recipe.model_validate(yaml.safe_load(text))


def test_takes_what_yaml_gives() -> None:
    made = recipe("{epochs: 3, lr: 1e-2, grad_clip: 1, precision: bf16}")  # YAML reads 1e-2 as text
    assert (made.epochs, made.lr, made.grad_clip, made.precision) == (3, 0.01, 1.0, "bf16")
    assert recipe("{grad_clip: null}").grad_clip is None


@pytest.mark.parametrize(
    "text",
    [
        "{epochs: 0}",
        "{epochs: 2.5}",
        "{epochs: yes}",
        "{lr: on}",
        "{lr: 0}",
        "{lr: .nan}",
        "{weight_decay: .inf}",
        "{momentum: 1}",
        "{warmup: 1}",
        "{label_smoothing: -0.1}",
        "{grad_clip: 0}",
        "{precision: fp16}",
        "{epoch: 3}",
        "{epochs: [1, 2]}",
    ],
)
def test_refuses(text: str) -> None:
    with pytest.raises(ValidationError):
        recipe(text)


def test_is_a_value() -> None:
    assert recipe("{epochs: 3}") == Recipe(epochs=3) != Recipe()
    assert len({Recipe(), Recipe(), Recipe(epochs=3)}) == 2
    assert Recipe.model_validate(Recipe(lr=0.3).model_dump()) == Recipe(lr=0.3)
    with pytest.raises(ValidationError):
        Recipe().epochs = 4  # type: ignore[misc]


def test_every_field_says_what_it_is() -> None:
    assert all(field.description for field in Recipe.model_fields.values())
