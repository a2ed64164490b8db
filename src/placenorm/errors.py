"""Every exception and warning of placenorm.

A message is one sentence: what, where, why, what next. Errors that a user can mend derive from
`PlacenormError`; the command line prints their text and ends with exit code 2.
"""

import re

_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):\S*@|(?<=[?&])(password|sslpassword)=[^&\s]*")


class PlacenormError(Exception):
    """Something the user can mend: the text says what, where, why and what next."""


class UsageError(PlacenormError):
    """An option or an argument that cannot be used as it is."""


class ModelError(PlacenormError):
    """A model that cannot be found, built, run on its input or rewritten."""


class DataError(PlacenormError):
    """Data that cannot be found, read or used with this model."""


class StoreError(PlacenormError):
    """A result folder that cannot be read, written or continued."""


class TrialError(PlacenormError):
    """A trial that could not be run to its end; a diverged trial is a result and no error."""


class ComparisonInterrupted(PlacenormError):  # noqa: N818 - an event, as in KeyboardInterrupt
    """The user stopped a comparison; what was finished is in the store."""


class PlacenormWarning(UserWarning):
    """Base of the warnings of placenorm."""


class NoEffectWarning(PlacenormWarning):
    """A filter or a mapping matched nothing in the model."""


def first_line(error: BaseException) -> str:
    """Return the first line of a foreign error's text, or its kind where it has none, as part of a sentence."""
    text = str(error).strip().splitlines()
    return text[0].rstrip(".!") if text else type(error).__name__


def hide_passwords(text: str) -> str:
    """Return a text in which the password of every URL is ``***``."""
    return _PASSWORD.sub(lambda found: f"{found[2]}=***" if found[2] else f"{found[1]}:***@", text)


class BenchError(PlacenormError):
    """Something cannot be timed."""
