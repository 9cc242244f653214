"""Pages that are made from the package itself: settings, files of stages, commands, and the API."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel

from rerank.engine.contents import Expected

HERE = Path(__file__).parent
DOCS = HERE.parent
OUT = DOCS / "generated"


class Setting(NamedTuple):
    """One setting of a recipe, as its class declares it.

    Attributes
    ----------
    name : str
        Such as `superpixels.n_segments`.
    default : str
        As YAML.
    takes : str
        Type and range.
    """

    name: str
    default: str
    takes: str


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[Setting]:
    """The settings of a config class and of the sections within it.

    Parameters
    ----------
    model : class
    prefix : str
        Stands before the names.

    Yields
    ------
    Setting
    """
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
            yield from settings_of(annotation, f"{prefix}{name}.")
            continue
        default = "needed" if field.is_required() else _yaml(field.get_default())
        yield Setting(prefix + name, default, _takes(schema["properties"][name]))


def _yaml(value: Any) -> str:
    if isinstance(value, tuple):
        value = list(value)
    return json.dumps(value)


def _takes(schema: dict[str, Any]) -> str:
    """What a JSON schema allows, in words."""
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(_takes(option) for option in schema["anyOf"])
    kind = schema.get("type", "any value")
    if kind == "array":
        items = schema.get("prefixItems")
        if items:
            return f"{len(items)} values: {_takes(items[0])}"
        return f"list of: {_takes(schema['items'])}"
    words = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "`true` or `false`",
        "object": "mapping",
        "null": "`null`",
    }
    limits = [
        f"{text} {schema[key]:g}"
        for key, text in (
            ("minimum", "at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
        )
        if key in schema
    ]
    return ", ".join([words.get(kind, kind), *limits])


def setting_notes() -> dict[str, dict[str, str]]:
    """Unit and effect of each setting, by its name; those of `propose` begin with `propose.`."""
    return _read("settings.yaml")


def _read(name: str) -> Any:
    return yaml.safe_load((HERE / name).read_text(encoding="utf-8"))


def settings_page() -> str:
    """Every setting of recipes and of `rerank propose`, with its default, unit and effect."""
    from rerank.config import ProposeSettings, Recipe
    from rerank.recipe_defaults import _CHOICES

    notes, automatic = setting_notes(), {name for name, _ in _CHOICES}
    parts = [
        "# Settings\n",
        "A recipe states only what differs from the defaults. `--set SECTION.NAME=VALUE` replaces "
        "a setting on the command line. What is *automatic* depends on other settings where it is "
        "left out or `auto`; the default shown is that of a recipe without maps and weights. An "
        "unknown name, a wrong type and a value out of range are errors, and so is a setting that "
        "would do nothing.\n",
    ]
    sections: dict[str, list[Setting]] = {}
    for setting in settings_of(Recipe):
        sections.setdefault(setting.name.rpartition(".")[0].split(".")[0], []).append(setting)
    for section, settings in sections.items():
        parts.append(f"## {f'`{section}`' if section else 'The recipe itself'}\n")
        model = Recipe.model_fields[section].annotation if section else None
        if model is not None:
            parts.append(_first_paragraph(inspect.getdoc(model) or "") + "\n")
        parts.append(_settings_table(settings, notes, automatic))
    parts.append("## Settings of `rerank propose`\n")
    parts.append(
        "These need no recipe: `rerank propose --set NAME=VALUE`, or `propose(..., settings)` in "
        "Python.\n"
    )
    own = list(settings_of(ProposeSettings))
    found = {s.name: notes.get(f"propose.{s.name}") or _shared(s.name, notes) for s in own}
    parts.append(_settings_table(own, found, set()))
    return "\n".join(parts)


def _shared(name: str, notes: dict[str, dict[str, str]]) -> dict[str, str]:
    """What is said of a setting of `propose` that recipes have too."""
    return notes.get(name) or notes.get(f"proposals.{name}") or notes.get(f"crf.{name}") or {}


def _settings_table(
    settings: Iterable[Setting], notes: dict[str, dict[str, str]], automatic: set[str]
) -> str:
    rows = ["| setting | default | takes | unit | effect |", "| --- | --- | --- | --- | --- |"]
    for setting in settings:
        note = notes.get(setting.name, {})
        default = f"`{setting.default}`" if setting.default != "needed" else "needed"
        if setting.name in automatic:
            default += ", automatic"
        cells = (
            f"`{setting.name}`",
            default,
            setting.takes,
            note.get("unit", ""),
            note.get("effect", ""),
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _first_paragraph(text: str) -> str:
    return " ".join(text.strip().split("\n\n")[0].split())


def files_page() -> str:
    """Every stage, what it reads, and every data set of its files."""
    from rerank.config import load_recipe
    from rerank.stages.declarations import contents_of
    from rerank.stages.pipeline import STAGES

    recipes = {name: load_recipe(name) for name in ("scenes", "own_maps")}
    recipes["with a dense network"] = load_recipe("weizmann_horse_dense_network")
    recipes["with further models"] = load_recipe(
        "own_maps", ["auxiliary.probabilities=[MORE]", "dataset.evaluate=val"]
    )
    said = _read("data_sets.yaml")
    parts = [(HERE / "files_head.md").read_text(encoding="utf-8")]
    for stage in STAGES:
        read = {
            name: None for recipe in recipes.values() for name, _ in stage.inputs_with(recipe)
        } | {kind: None for recipe in recipes.values() for kind in stage.reads_with(recipe)}
        parts.append(f"## `{stage.name}`\n")
        summary = f"{stage.summary[0].upper()}{stage.summary[1:]}."
        once = "One file for each fold, and `final`." if stage.split else "One file, `all`."
        made = ", ".join(f"`{name}`" for name in read) or "nothing"
        parts.append(f"{summary} {once} Made from {made}. Version {stage.version}.\n")
        expected: dict[str, Expected] = {}
        for recipe in recipes.values():
            for path, about in contents_of(stage.name, recipe).items():
                # The subsets of the ablation are numbered.
                expected.setdefault(re.sub(r"^\d\d/", "#/", path), about)
        rows = [
            (path, _shape(about), about.kind, said.get(stage.name, {}).get(path, ""))
            for path, about in expected.items()
        ]
        parts.append(_table(("data set", "shape", "type", "holds"), rows))
    return "\n".join(parts)


def _shape(about: Expected) -> str:
    if about.shape is None:
        return ""
    return f"({', '.join('any' if side is None else str(side) for side in about.shape)})"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for first, *rest in rows:
        cells = [f"`{first}`", *rest]
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def commands_page() -> str:
    """Every command with its options, from the parser."""
    from rerank.cli.completion import commands_of

    parser = importlib.import_module("rerank.cli.main")._parser()
    parts = ["# Commands\n", _first_paragraph(parser.description) + "\n"]
    examples = textwrap.dedent(parser.format_help().split("examples:\n")[1].split("\n\n")[0])
    parts.append(f"```text\n{examples}\n```\n")
    for command in commands_of(parser):
        if command.below:
            continue
        parts.append(f"## `rerank {' '.join(command.path)}`\n")
        parts.append(command.about + "\n")
        rows = []
        for argument in command.arguments:
            if argument.names and argument.names[-1] in ("--help", "--debug"):
                continue
            name = argument.names[-1] if argument.names else argument.placeholder
            value = argument.placeholder if argument.names and argument.value.kind != "none" else ""
            rows.append((f"{name} {value}".strip(), argument.summary))
        parts.append(_table(("option", "means"), rows))
    return "\n".join(parts)


def api_pages() -> dict[str, str]:
    """A page for each package: every public name with its signature and docstring."""
    sys.path.insert(0, str(DOCS.parent / "scripts"))
    from api_page import OF_MODULES, PACKAGES

    pages, shown = {}, []
    for package in PACKAGES:
        module = importlib.import_module(package)
        names = sorted((n for n in module.__all__ if not n.startswith("_")), key=str.lower)
        lines = [_heading(package), _first_paragraph(module.__doc__ or ""), ""]
        lines += [f".. currentmodule:: {package}", ""]
        for name in names:
            lines += _entry(getattr(module, name), name)
        pages[f"api/{package}.rst"] = "\n".join(lines)
        shown.append(package)
    for package in OF_MODULES:
        module = importlib.import_module(package)
        lines = [_heading(package), _first_paragraph(module.__doc__ or ""), ""]
        for found in pkgutil.iter_modules(module.__path__):
            name = f"{package}.{found.name}"
            about = _first_paragraph(importlib.import_module(name).__doc__ or "")
            lines += [f"``{name}``", f"    {about}", ""]
        pages[f"api/{package}.rst"] = "\n".join(lines)
        shown.append(package)
    about = (
        "Every name below is public: its page has the signature, shapes, dtypes, units, errors and "
        "the source of each equation."
    )
    toc = "\n".join(f"   {name}" for name in shown)
    lines = (_heading("The API, package by package"), about, "", ".. toctree::")
    index = "\n".join((*lines, "   :maxdepth: 1", "", toc, ""))
    return {**pages, "api/index.rst": index}


def _heading(text: str) -> str:
    return f"{text}\n{'=' * len(text)}\n"


def _entry(value: object, name: str) -> list[str]:
    if inspect.isclass(value):
        members = [
            member
            for member, what in vars(value).items()
            if not member.startswith("_")
            and (inspect.isfunction(what) or isinstance(what, property | classmethod))
            and inspect.getdoc(what)
        ]
        listed = f"   :members: {', '.join(members)}" if members else "   :no-members:"
        return [f".. autoclass:: {name}", listed, ""]
    if inspect.isfunction(value):
        return [f".. autofunction:: {name}", ""]
    return [f".. autodata:: {name}", "   :no-value:", ""]


def write_pages() -> None:
    """Write what has changed."""
    pages = {
        "settings.md": settings_page(),
        "files.md": files_page(),
        "commands.md": commands_page(),
        **api_pages(),
    }
    for name, text in pages.items():
        path = OUT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in OUT.rglob("*.*"):
        if path.relative_to(OUT).as_posix() not in pages:
            path.unlink()


def plain_docstring(*event: Any) -> None:
    """Escape what docstrings hold of reStructuredText's marks without meaning them."""
    lines: list[str] = event[-1]
    for index, line in enumerate(lines):
        lines[index] = re.sub(r"(?<![\w`])\|(?=\w)", r"\\|", line)


def list_the_rest(app: Any, docname: str, source: list[str]) -> None:
    """Put pages that no list names where a list says `THE_REST`, so that none is out of reach."""
    if docname in ("index", "results/index"):
        folder = (DOCS / docname).parent
        names = sorted({path.stem for path in folder.glob("*.md")} - {"index"})
        rest = [name for name in names if not re.search(rf"\b{name}\b", source[0])]
        source[0] = source[0].replace("THE_REST\n", "".join(f"{name}\n" for name in rest))


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx; the pages are written before it reads its sources."""
    app.connect("config-inited", lambda app, config: write_pages())
    app.connect("source-read", list_the_rest)
    app.connect("env-get-outdated", lambda *event: ["index", "results/index"])
    app.connect("autodoc-process-docstring", plain_docstring, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
