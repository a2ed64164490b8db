"""A file of torch.export, run where there is no placenorm."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from placenorm.errors import ModelError, first_line
from placenorm.exports.calls import Call

_SCRIPT: Final = """
import sys
sys.modules["placenorm"] = None  # from here on, importing it fails
import torch
from torch.utils._pytree import tree_leaves
program, calls, given = sys.argv[1:]
run = torch.export.load(program).module()
with torch.no_grad():
    found = [run(*args, **kwargs) for args, kwargs in torch.load(calls, weights_only=True)]
torch.save([[x.clone() for x in tree_leaves(each) if isinstance(x, torch.Tensor)] for each in found], given)
"""

_LIMIT_S: Final = 600
"""A process that takes longer hangs."""


def run_program(content: bytes, calls: Sequence[Call]) -> list[tuple[Tensor, ...]]:
    """Return what a file of torch.export gives for some calls, in a process that cannot import placenorm.

    Raises:
        ModelError: if it does not run there.
    """
    with tempfile.TemporaryDirectory() as folder:
        program, asked, given = (Path(folder) / name for name in ("model.pt2", "calls.pt", "given.pt"))
        program.write_bytes(content)
        torch.save([(call.args, call.kwargs) for call in calls], asked)
        try:
            # -P: no module in the current folder stands in for a library's
            command = [sys.executable, "-P", "-c", _SCRIPT, *map(str, (program, asked, given))]
            done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
            if done.returncode:
                lines = done.stderr.strip().splitlines()
                raise ModelError(f"it does not run in a process without placenorm: {lines[-1] if lines else 'killed'}")
            found: list[list[Tensor]] = torch.load(given, weights_only=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise ModelError(f"it cannot be run in a process of its own: {first_line(error)}") from error
    return [tuple(each) for each in found]
