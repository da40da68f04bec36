"""Imports go down only. The layers are drawn here once; a new module must find its place."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

NAS = Path(__file__).parent.parent / "nas"

# from the ground up: a wing may import the wings above its own line, and modules of its own
LAYERS = (
    ("errors", "files", "scratch", "units"),
    ("topology",),
    ("surrogate", "tasks"),
    ("network",),
    ("results", "space"),
    ("training",),
    ("diagnosis",),
    ("study",),
    ("cost",),
    ("sampling",),
    ("analysis",),
    ("export",),
    ("watching",),
    ("searching",),
    ("cli",),
    ("__main__",),
)
HEAVY = {"torch", "ray", "optuna", "pandas", "plotly", "sklearn", "torchvision", "sqlalchemy"}
# where a framework may be imported at all, however late
MAY_IMPORT = {
    "torch": {"network", "training", "diagnosis", "cost", "searching", "export"},
    "ray": {"searching"},
    "optuna": {"study", "sampling", "watching", "searching"},
}


def modules() -> list[Path]:
    return sorted(NAS.rglob("*.py"))


def layer_of(path: Path) -> str:
    return path.relative_to(NAS).parts[0].removesuffix(".py")


def imports(path: Path, *, also_late: bool = True) -> set[str]:
    """Dotted names that the file imports at run time (not under TYPE_CHECKING)."""
    found: set[str] = set()

    def visit(node: ast.AST, late: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import) and (also_late or not late):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and (also_late or not late):
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        late = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, late)

    visit(ast.parse(path.read_text()), late=False)
    return found


def defined_in(name: str) -> str:
    """Return the module that a dotted name of nas is defined in: a package hands its public names on by its stub."""
    path = NAS.parent.joinpath(*name.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        return name
    package, _, attribute = name.rpartition(".")
    stub = NAS.parent.joinpath(*package.split("."), "__init__.pyi")
    for node in ast.walk(ast.parse(stub.read_text() if stub.is_file() else "")):
        if isinstance(node, ast.ImportFrom) and attribute in {alias.name for alias in node.names}:
            return defined_in(".".join(filter(None, (package, node.module, attribute))))
    return package


def import_graph() -> dict[str, set[str]]:
    """Return, for each module of nas, the modules of nas that it loads while it is itself being imported."""
    graph = {}
    for path in modules():
        module = ".".join(path.relative_to(NAS.parent).with_suffix("").parts).removesuffix(".__init__")
        names = {name for name in imports(path, also_late=False) if name.split(".")[0] == "nas"}
        # the package of `from nas.x import y` is read as well, but it loads nothing of its own accord
        graph[module] = {defined_in(name) for name in names} - {module}
    return graph


RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(NAS)))
def test_imports_go_down(path: Path) -> None:
    layer = layer_of(path)
    if layer == "__init__":
        return
    assert layer in RANK, f"{layer} has no place in LAYERS"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "nas" or len(parts) < 2 or parts[1] not in RANK or parts[1] == layer:
            continue
        assert RANK[parts[1]] < RANK[layer], f"nas.{layer} imports nas.{parts[1]}, which is not below it"


def test_no_circle_of_imports() -> None:
    try:
        graphlib.TopologicalSorter(import_graph()).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"modules that import each other: {' → '.join(reversed(error.args[1]))}")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(NAS)))
def test_frameworks_stay_in_their_layers(path: Path) -> None:
    for name in imports(path):
        allowed = MAY_IMPORT.get(name.split(".")[0])
        assert allowed is None or layer_of(path) in allowed, f"{layer_of(path)} imports {name}"


@pytest.mark.parametrize("path", sorted((NAS / "network" / "ops").glob("[!_]*.py")), ids=lambda path: path.name)
def test_ops_import_torch_alone(path: Path) -> None:
    assert {name.split(".")[0] for name in imports(path)} <= {"torch"}


@pytest.mark.parametrize("code", ["import nas", "import nas.cli", "import nas.topology, nas.topology.references"])
def test_imports_are_light(code: str) -> None:
    program = f"import sys; {code}; print(*sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_is_light() -> None:
    program = (
        "import sys\nfrom nas.cli import main\nsys.argv = ['nas', '--help']\n"
        f"try:\n    main()\nfinally:\n    print(*sorted(set(sys.modules) & {HEAVY!r}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "search" in done.stdout
    assert done.stderr.split() == []
