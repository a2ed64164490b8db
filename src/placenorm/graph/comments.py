"""Comments in a model's source that silence rules: ``# placenorm: ignore[BN101]``."""

import ast
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator

from torch import nn

_COMMENT = re.compile(r"#\s*placenorm:\s*ignore(?:\[(?P<codes>[^\]]*)\])?")

ALL = "BN"
"""What a comment without codes silences."""


class IgnoreComments:
    """The comments in the source of a model's classes.

    A comment counts for what its line names: ``self.bn1 = nn.BatchNorm2d(8)  # placenorm: ignore[BN102]`` where it is
    made, or where the forward uses it; on a line inside a ``nn.Sequential(...)`` for the child that the line makes;
    on the line of a class for all that is in modules of it. Without brackets it silences every rule.

    Args:
        model: the model; classes without a source (made at a prompt) have no comments.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._sources: dict[int, _Source] = {}

    def silences(self, site: str, code: str, name: str = "") -> bool:
        """Whether a comment silences a rule, by code or name, at a site: a path, or the key of a block or call."""
        return any(each == name or code.startswith(each.upper()) for each in self._codes_at(site))

    def _codes_at(self, site: str) -> Iterator[str]:
        path = re.split(r"->|#|:", site)[0]
        owner: nn.Module = self._model
        parts = path.split(".") if path else []
        yield from (code for source in self._sources_of(owner) for code in source.on_class)
        for depth, part in enumerate(parts):
            for source in self._sources_of(owner):
                yield from source.on_child(part, parts[depth + 1 :])
            try:
                owner = owner.get_submodule(part)
            except AttributeError:
                return
            yield from (code for source in self._sources_of(owner) for code in source.on_class)

    def _sources_of(self, module: nn.Module) -> list["_Source"]:
        """Return the comments of a module's class and of those that it is made from."""
        kinds = [kind for kind in type(module).__mro__ if issubclass(kind, nn.Module)]
        for kind in kinds:
            if id(kind) not in self._sources:
                self._sources[id(kind)] = _Source(kind)
        return [self._sources[id(kind)] for kind in kinds]


class _Source:
    """The comments of one class, by what their lines name."""

    def __init__(self, kind: type) -> None:
        self.on_class: tuple[str, ...] = ()
        self._comments: dict[int, tuple[str, ...]] = {}
        self._mentions: list[tuple[str, ast.stmt]] = []
        if kind.__module__.startswith("torch."):
            return
        try:
            text = textwrap.dedent(inspect.getsource(kind))
            tree = ast.parse(text)
        except (OSError, TypeError, SyntaxError):
            return
        self._comments = dict(_read_comments(text))
        if not self._comments or not isinstance(tree.body[0], ast.ClassDef):
            return
        node = tree.body[0]
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        self.on_class = tuple(self._within(first, node.body[0].lineno - 1 or first))
        for statement in (each for each in ast.walk(node) if isinstance(each, ast.stmt)):
            if not isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                self._mentions += [(name, statement) for name in _names_of_self(statement)]

    def on_child(self, name: str, rest: list[str]) -> Iterator[str]:
        """Yield the codes of comments on lines that name a child, or what is deeper in it."""
        for mentioned, statement in self._mentions:
            if mentioned != name:
                continue
            part = _argument(statement, rest)
            if part is None:
                yield from self._within(statement.lineno, statement.end_lineno or statement.lineno)
            else:
                yield from self._within(part.lineno, part.end_lineno or part.lineno)

    def _within(self, first: int, last: int) -> Iterator[str]:
        for line in range(first, last + 1):
            yield from self._comments.get(line, ())


def _read_comments(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        found = _COMMENT.search(token.string) if token.type == tokenize.COMMENT else None
        if found is not None:
            codes = found["codes"]
            listed = (ALL,) if codes is None else tuple(code.strip() for code in codes.split(",") if code.strip())
            yield token.start[0], listed


def _names_of_self(statement: ast.stmt) -> Iterator[str]:
    """Yield the attributes of ``self`` that a statement itself names; those in a block under it have their own."""
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            yield node.attr
        pending.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt))


def _argument(statement: ast.stmt, rest: list[str]) -> ast.expr | None:
    """Return the argument of a ``Sequential(...)`` that makes a deeper child; None where there is no telling."""
    value = statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None
    found: ast.expr | None = None
    for part in rest:
        if not (isinstance(value, ast.Call) and part.isdigit() and int(part) < len(value.args)):
            break
        if any(isinstance(argument, ast.Starred) for argument in value.args):
            break
        found = value = value.args[int(part)]
    return found
