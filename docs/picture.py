"""`make picture` draws the wings of nas and their imports into docs/architecture.svg, from the imports themselves."""

from __future__ import annotations

import ast
import html
from pathlib import Path

from tests.test_layers import LAYERS, NAS, imports, layer_of, modules

TARGET = Path(__file__).parent / "architecture.svg"
GROUND = LAYERS[0]  # every wing may import these: they are drawn without arrows
WINGS = [name for layer in reversed(LAYERS[1:]) for name in layer if not name.startswith("__")]
WIDTH, ROW, LEFT, BOX = 1120, 46, 200, 140  # pixels: the picture, a row, the left edge and the width of the boxes
HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">
<title>The wings of nas and their imports</title>
<defs><marker id="tip" viewBox="0 0 8 8" refX="5" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 L8 4 L0 8 z" style="fill:#1f4e79;stroke:none"/></marker></defs>
<style>text{{font:13px sans-serif;fill:#222}} .name{{font-weight:bold;text-anchor:middle}}
rect{{fill:#e8f0f8;stroke:#1f4e79}} path{{fill:none;stroke-width:1.4}}
.import{{stroke:#1f4e79;marker-end:url(#tip)}} .also{{stroke:#c3cfdb}}</style>
<rect width="{width}" height="{height}" style="fill:white;stroke:none"/>"""


def imported() -> dict[str, set[str]]:
    """Return, for each wing, the wings that its modules import at any time."""
    found: dict[str, set[str]] = {wing: set() for wing in WINGS}
    for path in modules():
        if (wing := layer_of(path)) in found:
            words = [name.split(".") for name in imports(path)]
            found[wing] |= {parts[1] for parts in words if parts[0] == "nas" and len(parts) > 1} & set(WINGS) - {wing}
    return found


def below(wing: str, graph: dict[str, set[str]]) -> set[str]:
    """Return all the wings that a wing reaches, in one step or in several."""
    return graph[wing].union(*(below(other, graph) for other in graph[wing]))


def purpose(name: str) -> str:
    """Return the first sentence of the docstring of a wing."""
    path = NAS / name / "__init__.py"
    text = ast.get_docstring(ast.parse((path if path.is_file() else NAS / f"{name}.py").read_text())) or ""
    return " ".join(text.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def arrow(start: int, end: int, needed: bool) -> str:
    """Return a curve at the left of the boxes from row `start` down to row `end`."""
    top, bottom = (ROW * start + ROW // 2 + 8, ROW * end + ROW // 2 - 8)
    bend = LEFT - 24 - 18 * (end - start)
    style = "import" if needed else "also"
    return f'<path class="{style}" d="M{LEFT} {top} C{bend} {top} {bend} {bottom} {LEFT - 5} {bottom}"/>'


def draw() -> str:
    """Return the picture as SVG.

    An arrow leads from a wing to one that it imports; it is pale where a longer way leads there as well.
    """
    graph = imported()
    arrows, boxes = [], []
    for row, wing in enumerate(WINGS):
        implied = set().union(*(below(other, graph) for other in graph[wing]))
        for other in sorted(graph[wing], key=WINGS.index):
            arrows.append(arrow(row, WINGS.index(other), other not in implied))
    for row, names in enumerate([*[(wing,) for wing in WINGS], GROUND]):
        title, about = ", ".join(names), purpose(names[0])
        if names == GROUND:
            about = (
                "One tree of errors, files that are written whole, numbers written for people: every wing may use them"
            )
        y = ROW * row
        boxes.append(f'<rect x="{LEFT}" y="{y + 5}" width="{BOX}" height="{ROW - 10}" rx="6"/>')
        boxes.append(f'<text x="{LEFT + BOX // 2}" y="{y + ROW // 2 + 4}" class="name">{title}</text>')
        boxes.append(f'<text x="{LEFT + BOX + 14}" y="{y + ROW // 2 + 4}">{html.escape(about.replace("`", ""))}</text>')
    arrows.sort(key=lambda path: "also" not in path)  # the pale ones lie below
    height = ROW * (len(WINGS) + 1)
    return "\n".join((HEAD.format(width=WIDTH, height=height), *arrows, *boxes, "</svg>\n"))


if __name__ == "__main__":
    TARGET.write_text(draw(), encoding="utf-8")
    print(TARGET)
