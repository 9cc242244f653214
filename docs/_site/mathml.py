"""Equations as MathML, which browsers draw without a script from elsewhere."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

#: The number of an equation, written in its source so that other pages and programs show it too.
TAG = re.compile(r"\s*\\tag\{(\w+)\}\s*")


def inline(translator: Any, node: nodes.math) -> None:
    """Draw an equation within a line."""
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def block(translator: Any, node: nodes.math_block) -> None:
    """Draw an equation that stands alone, with its number behind it."""
    text = node.astext()
    found = TAG.search(text)
    drawn = convert(TAG.sub("", text).strip(), display="block")
    number = f'<span class="eqno">({escape(found[1])})</span>' if found else ""
    name = f' id="equation-{escape(found[1])}"' if found else ""
    translator.body.append(f'<div class="math-block"{name}>{drawn}{number}</div>\n')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
