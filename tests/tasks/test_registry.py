"""The registry of tasks: every family is found, every task is documented, facts load neither data nor frameworks."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nas import tasks
from nas.errors import TaskError
from nas.tasks import families
from nas.tasks.checking import check_splits
from nas.tasks.registry import family_modules, merged

README = (Path(__file__).parents[2] / "README.md").read_text()
FOLDER = Path(families.__file__).parent


def test_an_unknown_task_is_one_clear_line() -> None:
    with pytest.raises(TaskError, match=r"^task must be one of .*digits.*, but got 'digit' \(did you mean 'digits'"):
        tasks.get("digit")


def test_a_mistyped_task_with_options_is_found_by_its_word() -> None:
    with pytest.raises(TaskError, match=r"got 'fashion_mnst\?train=40' \(did you mean 'fashion_mnist'\?\)$"):
        tasks.get("fashion_mnst?train=40")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("digits?train=5", "digits"),
        ("digits:5", "digits"),
        ("fashion_mnist?tran=5", "fashion_mnist?train=…&validation=…"),
        ("fashion_mnist?train=50&train=60", "fashion_mnist?train=…&validation=…"),
        ("fashion_mnist:here?train=50", "fashion_mnist?train=…&validation=…"),
        ("npz?kind=classes", "npz:PATH"),
        ("csv?target=price", "csv:PATH?target=…&kind=…"),
    ],
)
def test_options_are_those_of_the_task(name: str, form: str) -> None:
    with pytest.raises(TaskError) as caught:
        tasks.get(name)
    assert (
        str(caught.value) == f"task {form.partition('?')[0].partition(':')[0]} must be written {form}, but got {name!r}"
    )


def test_options_stand_in_the_name_in_one_order() -> None:
    for name in ("fashion_mnist?train=4000&validation=2000", "fashion_mnist?validation=2000&train=4000"):
        assert tasks.get(name).name == "fashion_mnist?train=4000&validation=2000"
    assert tasks.get("imagefolder:/photos?classes=3&size=8").name == "imagefolder:/photos?size=8&classes=3"


EMBEDDED = ("digits", "cluttered_digits", "digit_scenes", "pydoc", "breast_cancer", "wine", "diabetes")


@pytest.mark.parametrize("name", EMBEDDED)
def test_facts_agree_with_the_data(name: str) -> None:
    task = tasks.get(name)
    assert task.name == name
    splits = check_splits(task.load(), task)
    for split in vars(splits).values():
        assert split.inputs.dtype == (np.uint8 if name == "pydoc" else np.float32)
        assert len(split) >= 30


@pytest.mark.parametrize("name", tasks.TASKS)
def test_every_task_says_what_it_is_and_how_it_is_written(name: str) -> None:
    assert tasks.TASKS[name].__doc__ and tasks.usage(name).startswith(name)
    if ":" not in tasks.usage(name):
        assert tasks.get(name).recipe.epochs > 0
    else:
        with pytest.raises(TaskError, match=rf"^task {name} must be written {name}:PATH"):
            tasks.get(name)


def test_facts_load_neither_data_nor_frameworks() -> None:
    program = (
        "import sys, nas.tasks\n"
        "heavy = {'sklearn', 'torch', 'pandas', 'torchvision', 'PIL'}\n"
        "task = nas.tasks.get('digits'); print(*heavy & set(sys.modules))\n"
        "task.load(); print(*heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("module", family_modules(), ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_file_of_a_family_declares_its_tasks(module: ModuleType) -> None:
    assert module.TASKS and all(callable(make) for make in module.TASKS.values()), (
        f"{module.__name__} must declare what it offers: TASKS = {{name: function that returns a Task}}; "
        "a module without tasks of its own belongs in nas/tasks"
    )
    assert {name: tasks.TASKS[name] for name in module.TASKS} == module.TASKS


def test_every_file_of_the_folder_is_found() -> None:
    names = {module.__name__.rpartition(".")[2] for module in family_modules()}
    assert names == {path.stem for path in FOLDER.glob("[!_]*.py")}
    assert list(tasks.TASKS) == sorted(tasks.TASKS)


@pytest.mark.parametrize("name", tasks.TASKS)
def test_every_task_has_a_row_in_the_readme(name: str) -> None:
    table = README.split("| task | what it is | metric |")[1].split("\n\n")[0]
    cells = " ".join(row.split("|")[1] for row in table.splitlines()[2:])
    assert re.search(rf"`{name}[`:]", cells), (
        f"task {name} is not in the README: add a row `{tasks.usage(name)}` to the table under 'Your own data'"
    )


def test_a_name_is_declared_once() -> None:
    first, second, empty = ModuleType("first"), ModuleType("second"), ModuleType("empty")
    first.TASKS = second.TASKS = {"spirals": lambda: None}  # type: ignore[attr-defined]
    with pytest.raises(TaskError, match=r"^task 'spirals' must be declared once, but is in first and second$"):
        merged([first, second])
    with pytest.raises(TaskError, match=r"^empty must declare its tasks, TASKS = .name: function., but declares none$"):
        merged([first, empty])
