"""Design §3 and §6: short files, short functions, few base classes, everything documented."""

import ast
import re
from collections.abc import Sequence

from tests.rules.source import PACKAGE, ROOT, Function, functions, modules, nodes

FILE_LINES = 400
FUNCTION_LINES = 60

BASES = {
    "BaseModel", "Exception", "Function", "Generic", "NamedTuple", "Protocol", "TrainConfig",
    "nn.Module",
}  # fmt: skip
"""The allowed base classes; ``NamedTuple`` declares a record, as ``@dataclass`` does. The settings
of a training without ``auto`` are ``TrainConfig`` with narrower types."""

BASES_OF_SKLEARN = {
    "BaseEstimator", "ClassNamePrefixFeaturesOutMixin", "ClassifierMixin", "TransformerMixin",
}  # fmt: skip
"""Those of scikit-learn, only in ``sklearn.py``: its ``clone``, ``Pipeline`` and ``GridSearchCV``
accept no class without them."""

Definition = Function | ast.ClassDef


def test_files_are_short() -> None:
    texts = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".yaml", ".j2", ".html"}]
    assert len(texts) >= len(modules()) > 0
    lines = {path.relative_to(ROOT): len(path.read_text("utf-8").splitlines()) for path in texts}
    assert not {str(path): count for path, count in lines.items() if count > FILE_LINES}


def test_functions_are_short() -> None:
    found = functions()
    assert found
    lines = {f"{place} {f.name}": (f.end_lineno or f.lineno) - f.lineno + 1 for place, f in found}
    assert not {place: count for place, count in lines.items() if count > FUNCTION_LINES}


def test_classes_inherit_only_what_the_design_allows() -> None:
    """From ``BASES``, from our errors, and from a private base in the same file."""
    classes = nodes(ast.ClassDef)
    errors = {node.name for place, node in classes if "/errors/" in place}
    checked, wrong = 0, []
    for place, node in classes:
        file = place.rpartition(":")[0]
        private = {
            other.name
            for other_place, other in classes
            if other_place.rpartition(":")[0] == file and other.name.startswith("_")
        }
        for base in node.bases:
            name = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
            checked += 1
            of_sklearn = BASES_OF_SKLEARN if file == "src/warmstart/sklearn.py" else set()
            if name not in BASES | errors | private | of_sklearn:
                wrong.append(f"{place} {node.name} inherits from {name}")
    assert checked
    assert not wrong


def test_nothing_asks_hasattr() -> None:
    calls = nodes(ast.Call)
    assert calls
    assert not [place for place, call in calls if ast.unparse(call.func) == "hasattr"]


def test_every_public_thing_is_explained() -> None:
    checked, missing = 0, []
    for path, tree in modules().items():
        place = str(path.relative_to(ROOT))
        for name, node in [(place, tree), *_public(tree, place)]:
            checked += 1
            if not ast.get_docstring(node):
                missing.append(name)
    assert checked > len(modules()) > 0
    assert not missing


def test_documented_arguments_are_those_of_the_signature() -> None:
    """Ruff compares names; this also checks their order, and the fields of a class."""
    checked, wrong = 0, []
    definitions: list[tuple[str, Definition]] = [*functions(), *nodes(ast.ClassDef)]
    for place, node in definitions:
        documented = _documented_arguments(ast.get_docstring(node) or "")
        if documented:
            checked += 1
            have = _arguments(node)
            if documented != [name for name in have if name in documented]:
                wrong.append(f"{place} {node.name} documents {documented}, takes {have}")
    assert checked
    assert not wrong


def _public(tree: ast.Module | ast.ClassDef, place: str) -> list[tuple[str, Definition]]:
    """Public functions and classes of a module, and the public methods of those classes."""
    found: list[tuple[str, Definition]] = []
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            name = f"{place} {node.name}"
            found.append((name, node))
            if isinstance(node, ast.ClassDef):
                found += _public(node, name)
    return found


def _documented_arguments(docstring: str) -> list[str]:
    """Names under ``Args:``, in order: the text before the colon, indented by four columns."""
    section = re.search(r"^Args:\n((?:(?: {4}.*)?(?:\n|$))+)", docstring, re.MULTILINE)
    return re.findall(r"^ {4}\*{0,2}(\w+)[^:\n]*:", section[1], re.MULTILINE) if section else []


def _arguments(node: Definition) -> Sequence[str]:
    """The arguments of a call, in order; for a class, those of ``__init__`` or its fields."""
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                return _arguments(inner)
        return [ast.unparse(part.target) for part in node.body if isinstance(part, ast.AnnAssign)]
    signature = node.args
    plain = [*signature.posonlyargs, *signature.args, signature.vararg, *signature.kwonlyargs]
    return [part.arg for part in (*plain, signature.kwarg) if part]
