"""The verb `check` for a model of a name: what the command line asks for."""

from collections.abc import Iterable
from pathlib import Path

from placenorm.errors import UsageError
from placenorm.verbs.checking import Checked, check
from placenorm.verbs.named import build_example, load_batches, load_in_order
from placenorm.verbs.outlying import Outlying, outliers
from placenorm.verbs.settings import read_settings


def check_named(
    name: str,
    *,
    sample_shape: tuple[int, ...] | None = None,
    weights: Path | None = None,
    data: str | None = None,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    fix: Path | None = None,
    far: bool = False,
    command: str | None = None,
) -> tuple[Checked, Outlying | None]:
    """Check a model of a name, and look for outliers if asked; what the command ``placenorm check`` does.

    Args:
        name: as for `placenorm.zoo.find_model`.
        sample_shape: shape of one sample; None for the one that the model is made for.
        weights: a checkpoint to load; None for random weights.
        data: name of data, as for `placenorm.data.load_data`; None to look at the network alone.
        select: rules to ask; empty for what the nearest pyproject.toml says, or all.
        ignore: rules not to ask, beside those that the pyproject.toml names.
        far: whether to look for outliers among the training samples of the data too.
        fix: file that the safe fixes are written to, where there are any; None to write nothing.
        command: what repeats the check, for its page.

    Returns:
        What the rules found, and what the outliers are; None where nobody asked for them.

    Raises:
        UsageError: if outliers are asked for and no data are named.
        PlacenormError: one of its kinds, where a name, a file, a code or the model cannot be used.
    """
    if far and data is None:
        raise UsageError("Cannot look for outliers without data: name them with --data.")
    settings = read_settings(Path.cwd())
    chosen = tuple(select) or settings.select
    left = (*(() if select else settings.ignore), *ignore)  # who asks for rules by name gets them
    model, example = build_example(name, sample_shape, weights)
    batches = None if data is None else load_batches(data)
    done = check(model, example, batches, select=chosen, ignore=left, name=name, command=command)
    if fix is not None:
        done.write_fixes(fix)
    return done, outliers(model, load_in_order(data)) if far and data is not None else None
