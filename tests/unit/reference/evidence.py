"""What a test speaks of: its own code, and the code of these tests that it uses. Reads files; runs nothing.

A test shows a thing only if it, a fixture it takes, or a function or constant of ``tests`` that one of these uses,
mentions it. What else stands in its module does not count.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
GAP = "\0"
"""Stands in a text for what is only known when the test runs."""
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class Evidence:
    """The texts, with gaps, and the names that a test uses; those of modules also as ``module.name``."""

    texts: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def tells(self, pattern: str) -> bool:
        """Tell whether a pattern is found in one of the texts."""
        return any(re.search(pattern, text) for text in self.texts)


@dataclass(frozen=True)
class _Module:
    path: Path
    definitions: dict[str, Definition]
    imports: dict[str, tuple[Path, str]]
    """Names that come from other modules of this checkout: where from, and their name there; empty for a module itself.

    What stands in the product is only looked up for its constants: a test does not speak of all that it calls.
    """


@cache
def evidence(test: str) -> Evidence:
    """Return what a test, named ``path::function``, speaks of.

    Raises: ``LookupError`` if there is no such test.
    """
    path, _, function = test.partition("::")
    file = ROOT / path
    if not file.is_file() or not function.startswith("test_") or function not in _module(file).definitions:
        raise LookupError(test)
    found = Evidence()
    _collect(_module(file), function, found, set())
    return found


@cache
def _module(path: Path) -> _Module:
    definitions: dict[str, Definition] = {}
    imports: dict[str, tuple[Path, str]] = {}
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                definitions[name] = node
            case ast.Assign(targets=targets):
                definitions.update({each.id: node for each in targets if isinstance(each, ast.Name)})
            case ast.AnnAssign(target=ast.Name(id=name)):
                definitions[name] = node
            case ast.ImportFrom(module=str(module), names=names, level=0):
                for each in names:
                    imports[each.asname or each.name] = _origin(module, each.name)
    return _Module(path, definitions, imports)


def _origin(module: str, name: str) -> tuple[Path, str]:
    folder = ROOT.joinpath(*module.split("."))
    as_module = folder / f"{name}.py"
    return (as_module, "") if as_module.is_file() else (folder.with_suffix(".py"), name)


def _collect(module: _Module, name: str, found: Evidence, seen: set[tuple[Path, str]]) -> None:
    """Add what a definition uses, and what that uses; nothing is looked at twice."""
    if (module.path, name) in seen:
        return
    seen.add((module.path, name))
    node = module.definitions[name]
    found.texts += _texts(node, module)
    used = set(_names(node))
    found.names |= used | set(_dotted(node))
    for each in used:
        if each in module.definitions:
            _collect(module, each, found, seen)
        elif each in module.imports:
            path, there = module.imports[each]
            _follow(path, {there} if there else _attributes(node, each), found, seen)
        elif isinstance(node, _FUNCTION) and each in _arguments(node):
            for conftest in _conftests(module.path):
                _follow(conftest, {each}, found, seen)


def _follow(path: Path, names: set[str], found: Evidence, seen: set[tuple[Path, str]]) -> None:
    if path.is_file() and path.is_relative_to(ROOT / "tests"):
        there = _module(path)
        for name in names:
            if name in there.definitions:
                _collect(there, name, found, seen)
            elif name in there.imports:
                origin, original = there.imports[name]
                _follow(origin, {original}, found, seen)


def _names(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        match each:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield name


def _dotted(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name):
            yield f"{each.value.id}.{each.attr}"


def _attributes(node: ast.AST, owner: str) -> set[str]:
    return {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == owner
    }


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    return {each.arg for each in node.args.args}


def _conftests(path: Path) -> Iterator[Path]:
    for folder in path.parents:
        if folder == ROOT:
            return
        yield folder / "conftest.py"


def _texts(node: ast.AST, module: _Module) -> Iterator[str]:
    docstrings = {id(each) for each in ast.walk(node) if isinstance(each, ast.Expr) for each in [each.value]}
    parts: set[int] = set()
    for each in ast.walk(node):
        match each:
            case ast.JoinedStr(values=values):
                parts |= {id(value) for value in values}
                yield "".join(_text(value, module) for value in values)
            case ast.BinOp(op=ast.Add()):
                yield _text(each.left, module) + _text(each.right, module)
            case ast.Name(id=name) if name in module.imports and (text := _text(each, module)) != GAP:
                yield text
            case ast.Constant(value=str(text)) if id(each) not in parts and id(each) not in docstrings:
                yield text


def _text(node: ast.AST, module: _Module) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.FormattedValue(value=value):
            return _text(value, module)
        case ast.Name(id=name) if isinstance(one := module.definitions.get(name), ast.Assign):
            return _text(one.value, module)
        case ast.Name(id=name) if name in module.imports and module.imports[name][0].is_file():
            path, there = module.imports[name]
            return _text(ast.Name(there), _module(path)) if there in _module(path).definitions else GAP
        case ast.JoinedStr(values=values):
            return "".join(_text(value, module) for value in values)
    return GAP
