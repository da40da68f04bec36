"""A page that needs no network and no other file: a template of this folder, with its style and scripts inside.

It contains plotly.js. Its Content-Security-Policy with the hashes of its two scripts forbids the browser to load
anything and to run any other script, so that a name, reason or setting in a study can only be displayed.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

HERE = Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """Return the HTML of the template with these values, and with style, plotly, script and hashes besides."""
    from plotly.offline import get_plotlyjs

    scripts = {"plotly": get_plotlyjs().replace("\r\n", "\n"), "script": (HERE / "report.js").read_text("utf-8")}
    own = {name: Markup(text) for name, text in scripts.items()}
    own["style"] = Markup((HERE / "report.css").read_text("utf-8"))
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts.values()]
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(template).render(**values, **own, hashes=hashes)
