"""Objects in a user's own code, by name: ``path/to/file.py:Name`` or ``package.module:name``."""

import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from placenorm.errors import UsageError

FORMS = "path/to/file.py:Name or package.module:name"

_SHOWN_NAMES = 5
"""More names than this in one sentence are not read."""


_driver: tuple[Path, Path | None] | None = None
"""In a worker on another machine: the driver's working directory, and where copies of the driver's files lie."""


def redirect_files(folder: Path, copies: Path | None) -> None:
    """Let references mean what they do in another process, from now on.

    Args:
        folder: its working directory, which relative names start from.
        copies: folder with copies of its files, each at its absolute path beneath; None where they lie here alike.
    """
    global _driver  # noqa: PLW0603 - a process has one driver
    _driver = folder, copies
    here = folder if copies is None else copies / folder.relative_to("/")
    if str(here) not in sys.path:
        sys.path.append(str(here))


def find_file(path: Path | str) -> Path:
    """Return where a file of the user's lies in this process: in its own place, or as a copy of the driver's."""
    return _find_copy(_locate(Path(path)))


def load_object(reference: str, what: str = "object") -> object:
    """Return the object that a reference names.

    A file is loaded once in a process, under a module name of its own that depends on its path only, so that
    it collides with no installed module and an object of it unpickles in any process that loaded it too.
    While it loads, its folder comes first on ``sys.path``, as with ``python file.py``; afterwards last, so that a late
    import still finds the files beside it and none of them hides an installed module. Files beside it are
    ordinary modules: two folders that both hold a ``helpers.py`` get the one that was imported first.
    A module is looked for in the working directory too. Both load under a fixed seed, and the random states come back
    after: weights of a model made at the top of a file are the same in every process.

    Args:
        reference: ``path/to/file.py:Name`` or ``package.module:name``.
        what: what the object is for, for the error: ``model``, ``training loop``.

    Raises:
        UsageError: if there is no colon, no such file, module or name, or if loading the file fails.
    """
    head, colon, name = reference.rpartition(":")
    if not colon or not head or not name:
        file = reference.strip(":")
        form = f"{file}:Name" if file.endswith(".py") else FORMS
        raise UsageError(f"Cannot load the {what} {reference!r}: it names nothing behind a colon; write {form}.")
    module = _load_file(Path(head), reference, what) if _is_file(head) else _load_module(head, reference, what)
    if not hasattr(module, name):
        _refuse_name(module, name, reference, what)
    found: object = getattr(module, name)
    return found


def source_file(reference: str) -> Path | None:
    """Return the file that a reference names, or None for a name that stands in no Python file.

    None too for a file or a module that cannot be found: `load_object` says what is wrong with it.
    """
    head, _, name = reference.rpartition(":")
    if _is_file(head):
        path = find_file(head)
        return path if path.is_file() else None
    if not _is_module(head) or not name.isidentifier():
        return None
    _add_working_directory()
    try:
        spec = importlib.util.find_spec(head)
    except (ImportError, ValueError):  # ValueError: a module without a spec, such as __main__
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def hash_sources(references: Iterable[str | None]) -> str:
    """Return the SHA-256 over the contents of the files that references name; "" without any.

    References that stand in no file (``cnn:8``, ``digits``, None) are passed over.
    What those files import is not hashed.
    """
    files = [file for file in (source_file(reference) for reference in references if reference) if file is not None]
    if not files:
        return ""
    digest = hashlib.sha256()
    for file in files:
        digest.update(
            hashlib.sha256(file.read_bytes()).digest()
        )  # one digest a file: no two lists of files run together
    return digest.hexdigest()


def describe_error(error: BaseException) -> str:
    """Return an error as ``KeyError: 'x'``, on one line."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    line = text.strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def describe_failure(error: BaseException, reference: str) -> str:
    """Return what went wrong in a user's code and on which line, as part of a sentence.

    Args:
        error: what the user's code raised.
        reference: the reference it was reached by. The line named is the innermost one in that file's folder.
    """
    line = _line_of(error, source_file(reference)) or "it"
    return f"{line} raises {describe_error(error)}"


def _locate(path: Path) -> Path:
    """Return the absolute path that a name means: the driver's, where this process works for one elsewhere."""
    if _driver is None:
        return path.expanduser().resolve()
    return Path(os.path.normpath(_driver[0] / path.expanduser()))


def _find_copy(file: Path) -> Path:
    """Return where a file lies here."""
    copies = None if _driver is None else _driver[1]
    return file if copies is None else copies / file.relative_to("/")


def _is_file(head: str) -> bool:
    return head.endswith(".py") or "/" in head or "\\" in head


def _is_module(head: str) -> bool:
    return bool(head) and all(part.isidentifier() for part in head.split("."))


def _load_file(path: Path, reference: str, what: str) -> ModuleType:
    named = _locate(path)
    file = _find_copy(named)
    if not file.is_file():
        beside = [each.name for each in file.parent.glob("*.py")] if file.parent.is_dir() else []
        offer = _offer(file.name, beside) or "check the path."
        raise UsageError(f"Cannot load the {what} {reference!r}: there is no file {file}; {offer}")
    stem = re.sub(r"\W", "_", file.stem)
    module_name = f"placenorm_user_{stem}_{hashlib.sha256(str(named).encode()).hexdigest()[:16]}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise UsageError(
            f"Cannot load the {what} {reference!r}: {file} is not a Python file; name one that ends in .py."
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    from placenorm.randomness import fix_seed  # takes torch, for which a worker without own files need not wait

    folder = str(file.parent)
    sys.path.insert(0, folder)
    try:
        with fix_seed():
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        _refuse_failure(error, reference, what)
    finally:
        if folder in sys.path:
            sys.path.remove(folder)  # the first one: ours
        if folder not in sys.path:
            sys.path.append(folder)
    return module


def _load_module(head: str, reference: str, what: str) -> ModuleType:
    if not _is_module(head):
        raise UsageError(f"Cannot load the {what} {reference!r}: {head!r} is no module name; write {FORMS}.")
    from placenorm.randomness import fix_seed

    _add_working_directory()
    try:
        with fix_seed():
            return importlib.import_module(head)
    except ModuleNotFoundError as error:
        if error.name is None or not (head == error.name or head.startswith(error.name + ".")):
            _refuse_failure(error, reference, what)  # something that the module imports is missing
        raise UsageError(
            f"Cannot load the {what} {reference!r}: there is no module {error.name!r}; install it, run from the folder "
            "that holds it, or name its file as path/to/file.py:Name."
        ) from error
    except (Exception, SystemExit) as error:
        _refuse_failure(error, reference, what)


def _add_working_directory() -> None:
    """A console script does not have it on the path; a user who names a module of the project expects it there."""
    folder = str(Path.cwd())
    if "" not in sys.path and folder not in sys.path:
        sys.path.append(folder)


def _refuse_failure(error: BaseException, reference: str, what: str) -> NoReturn:
    raise UsageError(
        f"Cannot load the {what} {reference!r}: {describe_failure(error, reference)}; "
        "mend that line, or run the file by itself to see the whole traceback."
    ) from error


def _refuse_name(module: ModuleType, name: str, reference: str, what: str) -> NoReturn:
    names = [each for each in vars(module) if not each.startswith("_")]
    own = [each for each in names if getattr(vars(module)[each], "__module__", None) == module.__name__]
    offer = _offer(name, names)
    if not offer:
        shown = ", ".join(own[:_SHOWN_NAMES])
        offer = f"it defines {shown}." if shown else "it defines no class and no function."
    place = Path(module.__file__).name if module.__file__ else module.__name__
    raise UsageError(f"Cannot load the {what} {reference!r}: {place} has no {name!r}; {offer}")


def _offer(name: str, names: Iterable[str]) -> str:
    """Return a question that offers the closest names; "" where none is close."""
    close = get_close_matches(name, list(names))
    return f"did you mean {' or '.join(close)}?" if close else ""


def _line_of(error: BaseException, file: Path | None) -> str:
    """Return ``line 3 of net.py``, the innermost line of the user's own that the error passed; "" where none did."""
    if file is None:
        return ""
    if isinstance(error, SyntaxError) and error.filename is not None and error.lineno is not None:
        return f"line {error.lineno} of {Path(error.filename).name}"
    line, trace = "", error.__traceback__
    while trace is not None:
        place = Path(trace.tb_frame.f_code.co_filename)
        if place.parent == file.parent:
            line = f"line {trace.tb_lineno} of {place.name}"
        trace = trace.tb_next
    return line
