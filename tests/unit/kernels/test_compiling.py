"""What numba keeps on disk of a kernel, which holds code of other files too."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import placenorm.kernels.cpu as package

SOURCES = Path(package.__file__).parent
BORROWED = ("__init__.py", "compiling.py", "team.py")
FILES = {
    "loops.py": """
import numba

@numba.njit
def answer():
    return 1
""",
    "kernels.py": """
from placenorm.kernels.cpu import loops
from placenorm.kernels.cpu.compiling import njit

@njit(nogil=True, cache=True)
def ask():
    return loops.answer()
""",
}
ASK = """
from placenorm.kernels.cpu import kernels
answer = kernels.ask()
print(answer, sum(kernels.ask.stats.cache_hits.values()))
"""


def ask(where: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(where), "NUMBA_CACHE_DIR": str(where / "cache")}
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_kernel_is_compiled_anew_when_the_file_of_its_loops_changes(tmp_path: Path) -> None:
    there = tmp_path / "placenorm" / "kernels" / "cpu"
    there.mkdir(parents=True)
    for folder in (there.parent, there.parent.parent):
        (folder / "__init__.py").touch()
    for name in BORROWED:
        shutil.copy(SOURCES / name, there / name)
    for name, text in FILES.items():
        (there / name).write_text(text)
    assert [ask(tmp_path), ask(tmp_path)] == ["1 0", "1 1"]
    (there / "loops.py").write_text(FILES["loops.py"].replace("return 1", "return 2"))
    assert [ask(tmp_path), ask(tmp_path)] == ["2 0", "2 1"]


def test_every_kernel_is_compiled_by_it() -> None:
    others = {path.name for path in SOURCES.glob("*.py") if "from numba import njit" in path.read_text()}
    assert others == {"arithmetic.py"}  # whose functions are part of those that call them, and are not kept
