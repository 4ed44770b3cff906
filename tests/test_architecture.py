"""The layout's rules: who imports whom, and how long things may get (docs/design.md)."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

# One worker reads all modules, for all these tests.
pytestmark = pytest.mark.xdist_group("architecture")

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "annexshell"
LONGEST_MODULE = 400
LONGEST_FUNCTION = 30

#: Every package and top-level module, and those of ours it may import.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "model": {"errors"},
    "protocol": {"model", "errors"},
    "logs": {"model", "errors"},
    "policy": {"protocol", "model", "errors"},
    "repository": {"logs", "model", "errors"},
    "transport": {"protocol", "model", "errors"},
    "wanted": {"logs", "model", "errors"},
    "placement": {"wanted", "repository", "logs", "model", "errors"},
    "store": {"model", "errors"},
    "local": {"store", "repository", "transport", "logs", "model", "errors"},
    "remotes": {
        *("store", "repository", "transport", "protocol", "logs", "model", "errors"),
    },
    "proxy": {"remotes", "store", "repository", "logs", "model", "errors"},
    "cluster": {"proxy", "store", "transport", "repository", "logs", "model", "errors"},
    "serve": {
        *("placement", "wanted", "cluster", "proxy", "local", "remotes", "store"),
        *("policy", "transport", "protocol", "repository", "logs", "model", "errors"),
    },
    "admin": {
        *("placement", "wanted", "serve", "cluster", "proxy", "local", "remotes"),
        *("store", "transport"),
        *("protocol", "repository", "logs", "model", "errors"),
    },
    "cli": {
        *("admin", "serve", "placement", "wanted", "cluster", "proxy", "local"),
        *("remotes", "store", "policy", "transport", "protocol", "repository", "logs"),
        *("model", "errors", "sshd"),
    },
    "warm": {
        *("cli", "admin", "serve", "placement", "wanted", "cluster", "proxy", "local"),
        *("remotes", "store", "policy", "transport", "protocol", "repository", "logs"),
        *("model", "errors"),
    },
    "sshd": set(),
    "__init__": set(),
}

#: Third-party modules, and the only packages or files they may be imported in.
ONLY_IN: dict[str, set[str]] = {
    "trio": {
        *("transport", "local", "remotes", "proxy", "cluster", "serve", "admin"),
    },
    "click": {"cli"},
    "rich": {"cli"},
    "outcome": set(),
    "attr": set(),
    "inotify_simple": {"repository/watching.py"},
    "pygit2": {"repository/gitlib.py"},
    "asyncssh": {"sshd"},
    "asyncio": {"sshd"},
    "blake3": {"repository/backends.py"},
    "xxhash": {"repository/backends.py"},
}
ALLOWED_THIRD_PARTY = {"attrs", *ONLY_IN}

#: posix_spawn inherits no environment by itself; what misleads git is left out there.
SPAWNS = {"repository/gitprocess.py"}

#: Modules of the light path: what is refused or handed to git never loads these.
LIGHT = ("cli/shell.py", "cli/commandline.py", "cli/gitshell.py", "policy/directory.py")
HEAVY = {"trio", "attrs", "pygit2", "asyncssh", "asyncio"}


@dataclass(frozen=True)
class Module:
    """A module's path below annexshell/, and its syntax tree."""

    name: str
    tree: ast.Module
    lines: int

    @property
    def package(self) -> str:
        return self.name.split("/")[0].removesuffix(".py")

    def imports(self, *, top_only: bool = False) -> Iterator[tuple[str, int]]:
        """Imported modules by full name, with the line. Typing-only imports count."""
        nodes = self.tree.body if top_only else ast.walk(self.tree)
        for node in nodes:
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}:{node.lineno}: relative import"
                if node.module == "annexshell":
                    for alias in node.names:
                        yield f"annexshell.{alias.name}", node.lineno
                else:
                    yield str(node.module), node.lineno


def read(path: Path) -> Module:
    text = path.read_text()
    name = path.relative_to(PACKAGE).as_posix()
    return Module(name, ast.parse(text), len(text.splitlines()))


@cache
def modules() -> list[Module]:
    return [read(path) for path in sorted(PACKAGE.rglob("*.py"))]


def every_module(test: Callable[[Module], None]) -> Callable[[], None]:
    """Decorator: one test for all modules; thousands would cost seconds to collect."""

    def run() -> None:
        assert modules()
        for module in modules():
            test(module)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@every_module
def test_imports_only_what_lies_below(module: Module) -> None:
    allowed = MAY_IMPORT[module.package] | {module.package}
    for name, line in module.imports():
        words = name.split(".")
        if words[0] == "annexshell" and len(words) > 1 and words[1] != "__version__":
            assert words[1] in allowed, f"{module.name}:{line} imports {name}"


@every_module
def test_third_party_modules_stay_in_their_packages(module: Module) -> None:
    import sys

    for name, line in module.imports():
        first = name.split(".")[0]
        if first in sys.stdlib_module_names - ONLY_IN.keys() or first == "annexshell":
            continue
        where = f"{module.name}:{line} imports {name}"
        assert first in ALLOWED_THIRD_PARTY, where
        if first in ONLY_IN:
            assert {module.package, module.name} & ONLY_IN[first], where


@every_module
def test_the_environment_and_printing_stay_at_the_edge(module: Module) -> None:
    if module.package in ("cli", "sshd") or module.name in SPAWNS:
        return
    for node in ast.walk(module.tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used = f"{node.value.id}.{node.attr}"
            assert used not in ("os.environ", "os.getenv"), f"{module.name}:{line}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"{module.name}:{line}"


@every_module
def test_splice_and_sendfile_have_one_caller(module: Module) -> None:
    if module.name == "transport/syscalls.py":
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("splice", "sendfile") or not (
                isinstance(node.value, ast.Name) and node.value.id == "os"
            ), f"{module.name}:{node.lineno}"


@every_module
def test_modules_can_be_read_at_a_sitting(module: Module) -> None:
    assert module.lines <= LONGEST_MODULE, module.name


@every_module
def test_functions_fit_on_a_screen(module: Module) -> None:
    """Docstrings do not count: a function is not to be made shorter by saying less."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None:
                length -= (first.end_lineno or 0) - first.lineno + 1
            assert length <= LONGEST_FUNCTION, (
                f"{module.name}:{node.lineno} {node.name}"
            )


@every_module
def test_every_module_says_what_it_is(module: Module) -> None:
    assert ast.get_docstring(module.tree), module.name


@every_module
def test_an_init_holds_no_logic(module: Module) -> None:
    if not module.name.endswith("__init__.py"):
        return
    for node in module.tree.body:
        assert isinstance(
            node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.Expr
        ), f"{module.name}:{node.lineno}"


@pytest.mark.parametrize("name", LIGHT)
def test_the_light_path_imports_nothing_heavy_at_its_top(name: str) -> None:
    module = read(PACKAGE / name)
    heavy = [n for n, _ in module.imports(top_only=True) if n.split(".")[0] in HEAVY]
    assert heavy == []


def test_every_package_is_in_the_list() -> None:
    found = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    found |= {path.stem for path in PACKAGE.glob("*.py")}
    assert found == MAY_IMPORT.keys()


DOCS = sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md"))
_NAMED = re.compile(r"`((?:[\w.-]+/)*\w+\.(?:py|md|example))`")
_SETTING = re.compile(r'"(annexshell\.[a-z]+(?:-[a-z]+)*)"')
_NO_SETTINGS = {"annexshell.copy", *(f"annexshell.{name}" for name in MAY_IMPORT)}
"""The name of a temporary file, and loggers."""


@pytest.mark.parametrize("doc", DOCS, ids=lambda path: path.name)
def test_files_that_the_docs_name_are_there(doc: Path) -> None:
    """A name without a folder is in tests/interop/ (docs/defects.md), or beside it."""
    above = (ROOT, PACKAGE, ROOT / "tests/interop", ROOT / "tests", doc.parent)
    for name in _NAMED.findall(doc.read_text()):
        assert any((top / name).exists() for top in above), name


def test_every_setting_of_ours_is_in_the_readme() -> None:
    found = {
        name
        for path in PACKAGE.rglob("*.py")
        for name in _SETTING.findall(path.read_text())
    }
    assert len(found - _NO_SETTINGS) > 5
    readme = (ROOT / "README.md").read_text()
    assert [n for n in found - _NO_SETTINGS if f"| `{n}` |" not in readme] == []
