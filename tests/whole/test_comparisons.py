"""Whole comparisons through the command line: killed and resumed, repeated, with any number of workers."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.study.store import read_store
from support.trials import without_clock, write_data

pytestmark = pytest.mark.slow

PATIENCE_S = 600


def command(folder: Path, out: str, *more: str) -> list[str]:
    data = write_data(folder)
    options = ["--data", data, "--seeds", "4", "--epochs", "15", "--batch-size", "8", "--out", str(folder / out)]
    return [sys.executable, "-m", "placenorm", "compare", "mlp:3", *options, *more]


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=PATIENCE_S)


def hear_interrupts() -> None:
    """Take SIGINT as in a terminal: where the tests run in the background, a shell has it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def results_of(folder: Path) -> dict[TrialKey, TrialResult]:
    return {key: without_clock(result) for key, result in read_store(folder).results.items()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    done = run(command(folder, "out", "--jobs", "2"))
    assert done.returncode == 0, done.stderr
    return folder / "out"


def wait_for_trials(folder: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        if (folder / "trials.db").exists() and (folder / "comparison.json").exists():
            try:
                if len(read_store(folder).results) >= count:
                    return
            except Exception as error:  # the other process is making the tables just now
                print(f"not readable yet: {error}")
        time.sleep(0.05)
    pytest.fail(f"{count} trials did not come; the process ended with {process.poll()}")


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "Ctrl-C"])
def test_comparison_that_is_stopped_goes_on_with_resume(
    tmp_path: Path, undisturbed: Path, sign: signal.Signals
) -> None:
    arguments = command(tmp_path, "out", "--jobs", "2")
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=hear_interrupts,  # noqa: PLW1509 - this process has no threads that it could disturb
    )
    wait_for_trials(tmp_path / "out", 5, process)
    process.send_signal(sign)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    kept = results_of(tmp_path / "out")
    assert 5 <= len(kept) < len(results_of(undisturbed))
    if sign == signal.SIGINT:
        assert process.returncode == 130
        assert b"finished trials are kept in" in stderr
        assert b"--resume goes on" in stderr
        assert b"Traceback" not in stderr
    again = run([*arguments, "--resume"])
    assert again.returncode == 0, again.stderr
    assert results_of(tmp_path / "out") == results_of(undisturbed)


def test_comparison_without_resume_is_refused_and_keeps_its_trials(tmp_path: Path) -> None:
    arguments = command(tmp_path, "out", "--jobs", "2", "--epochs", "1", "--seeds", "1")
    assert run(arguments).returncode == 0
    before = (tmp_path / "out" / "trials.db").read_bytes()
    again = run(arguments)
    assert again.returncode == 2
    assert "add --resume" in again.stderr
    assert (tmp_path / "out" / "trials.db").read_bytes() == before


@pytest.mark.parametrize("jobs", [1, 3], ids=["one-worker", "three-workers"])
def test_comparison_gives_the_same_numbers_whatever_the_jobs(tmp_path: Path, undisturbed: Path, jobs: int) -> None:
    done = run(command(tmp_path, "out", "--jobs", str(jobs), "--json"))
    assert done.returncode == 0, done.stderr
    assert results_of(tmp_path / "out") == results_of(undisturbed)
    fact = json.loads(done.stdout)["fact"]
    assert len(fact["trials"]) == len(results_of(undisturbed))
    assert fact["verdict"]["advice"]


def test_comparison_that_stops_early_says_the_same_whatever_the_jobs_and_when_it_is_killed(tmp_path: Path) -> None:
    options = ("--stop", "early", "--seeds", "6", "--json")
    done = run(command(tmp_path, "whole", "--jobs", "3", *options))
    assert done.returncode == 0, done.stderr
    facts = [json.loads(done.stdout)["fact"]]
    arguments = command(tmp_path, "killed", "--jobs", "2", *options)
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    wait_for_trials(tmp_path / "killed", 5, process)
    process.kill()
    process.wait(timeout=PATIENCE_S)
    again = run([*arguments, "--resume"])
    assert again.returncode == 0, again.stderr
    facts.append(json.loads(again.stdout)["fact"])
    answers = [(fact["verdict"]["final"], fact["verdict"]["speed"], fact["grids"]) for fact in facts]
    assert answers[0] == answers[1]
    stored = [results_of(tmp_path / name) for name in ("whole", "killed")]
    both = stored[0].keys() & stored[1].keys()  # those that ran ahead are kept and not judged
    assert all(stored[0][key] == stored[1][key] for key in both)
    assert any(stored[0][key].pruned_at is not None for key in both)


def test_budget_ends_a_comparison_and_resume_goes_on(tmp_path: Path, undisturbed: Path) -> None:
    part = run(command(tmp_path, "out", "--jobs", "1", "--budget", "3-trials"))
    assert part.returncode == 0, part.stderr
    assert "The budget of 3-trials ended this with 3 finished trials" in " ".join(part.stdout.split())
    assert len(results_of(tmp_path / "out")) == 3
    done = run(command(tmp_path, "out", "--jobs", "2", "--budget", "1h", "--resume"))
    assert done.returncode == 0, done.stderr
    assert "The budget of" not in done.stdout
    assert results_of(tmp_path / "out") == results_of(undisturbed)


def test_comparison_with_more_seeds_keeps_the_old_ones(tmp_path: Path, undisturbed: Path) -> None:
    for seeds in ("2", "4"):
        done = run(command(tmp_path, "out", "--seeds", seeds, "--resume"))
        assert done.returncode == 0, done.stderr
    assert results_of(tmp_path / "out") == results_of(undisturbed)


def test_trials_that_kill_their_process_fail_and_the_verdict_stands_on_the_others(tmp_path: Path) -> None:
    """A loop that kills its own process at one seed."""
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def make():\n    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))\n"
    )
    (tmp_path / "loop.py").write_text(
        "import os, signal\n"
        "def train(model, seed, report):\n"
        "    if seed == 2:\n        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    report(1, 0.5)\n    return 0.5 + seed / 100\n"
    )
    arguments = [
        *(sys.executable, "-m", "placenorm", "compare", f"{tmp_path / 'net.py'}:make", "--jobs", "1"),
        *("--train", f"{tmp_path / 'loop.py'}:train", "--data", write_data(tmp_path), "--seeds", "3"),
        *("--out", str(tmp_path / "out")),
    ]
    done = run(arguments)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    said = " ".join(done.stdout.split())
    assert "trials failed, at seed 2, which its pairs leave out, as if by chance: `better` may" in said
    assert "was ended by SIGKILL: killed, or out of memory" in said
    results = read_store(tmp_path / "out").results
    assert {key.seed for key, result in results.items() if result.failure is None} == {0, 1}
    assert {key.seed for key, result in results.items() if result.failure is not None} == {2}
    assert "its worker process died 3 times" in (tmp_path / "out" / "report.html").read_text()


def test_workers_end_when_their_driver_is_killed(tmp_path: Path) -> None:
    """A loop that never ends, in two workers that write down who they are."""
    (tmp_path / "loop.py").write_text(
        "import os, pathlib\n"
        "def train(model, seed, report):\n"
        "    pathlib.Path(__file__).with_name(f'{os.getpid()}.pid').touch()\n"
        "    while True:\n        model(next(model.parameters()).new_zeros(2, 6))\n"
    )
    process = subprocess.Popen(
        command(tmp_path, "out", "--jobs", "2", "--train", f"{tmp_path / 'loop.py'}:train"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2 or process.poll() is not None)
    process.kill()
    process.wait()
    workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert len(workers) == 2
    wait_until(lambda: not any(is_running(worker) for worker in workers))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "body",
    ["raise ValueError('boom')", "import sys; sys.exit(3)"],
    ids=["error", "exit"],
)
def test_loop_that_fails_is_one_sentence_and_nothing_else(tmp_path: Path, body: str) -> None:
    (tmp_path / "loop.py").write_text(f"def train(model, seed, report):\n    {body}\n")
    loop = ["--train", f"{tmp_path / 'loop.py'}:train"]
    done = run(command(tmp_path, "out", "--jobs", "2", *loop))
    assert done.returncode == 2
    *progress, sentence = done.stderr.strip().splitlines()
    assert all(re.match("[0-9]+ of 12 trials", line) for line in progress), done.stderr
    assert "all 3 trials so far failed" in sentence
    assert "since line 2 of loop.py raises" in sentence


@pytest.mark.parametrize(
    "arguments",
    [
        ["examples/my_net.py:Net", "--epochs", "1"],
        ["examples/my_net.py:Net", "--train", "examples/my_train.py:train"],
        ["examples/my_net.py:Net", "--data", "examples/my_data.py:datasets", "--epochs", "1"],
        ["cnn:2", "--metric", "examples/my_metric.py:macro_f1", "--epochs", "1", "--limit", "300"],
        ["cnn", "--data", "fashion-mnist", "--limit", "300", "--epochs", "1"],
        ["examples/my_net.py:Net", "--data", "examples/my_loaders.py:loaders", "--epochs", "1"],
        ["mlp:2", "--precision", "bfloat16", "--processes-per-trial", "2", "--epochs", "1"],
    ],
    ids=["own-net", "own-loop", "own-data", "own-metric", "fashion-mnist", "own-loaders", "crew"],
)
def test_comparison_of_the_examples_runs(tmp_path: Path, arguments: list[str]) -> None:
    done = run([sys.executable, "-m", "placenorm", "compare", *arguments, "--seeds", "2", "--out", str(tmp_path / "o")])
    assert done.returncode == 0, done.stderr
    assert "Verdict" in done.stdout
    assert (tmp_path / "o" / "report.html").stat().st_size > 100_000


def test_comparison_from_a_script_without_a_main_guard(tmp_path: Path) -> None:
    """Workers do not run the user's script again, and take what is defined in it."""
    (tmp_path / "script.py").write_text(
        "import sys, torch, placenorm as pn\nfrom torch import nn\nfrom torch.utils.data import TensorDataset\n"
        "print('started')\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)\n"
        "    def forward(self, x):\n        return self.b(torch.relu(self.a(x)))\n"
        "x = torch.randn(90, 6, generator=torch.Generator().manual_seed(0))\n"
        "data = TensorDataset(x, x[:, :3].argmax(1)), None\n"
        "result = pn.compare(Net, data, seeds=1, epochs=1, jobs=2, out=sys.argv[1])\n"
        "print(result.table())\nprint(result.report())\n"
    )
    done = run([sys.executable, str(tmp_path / "script.py"), str(tmp_path / "out")])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("started") == 1
    assert "Verdict" in done.stdout
    assert os.path.exists(tmp_path / "out" / "report.html")


def test_trial_killed_in_the_middle_goes_on_from_its_last_epoch(tmp_path: Path) -> None:
    """One long trial: killed with its worker after some epochs, it is not begun anew."""
    (tmp_path / "net.py").write_text(
        "import pathlib, torch\nfrom torch import nn\n"
        "class Counted(nn.Linear):\n"
        "    def forward(self, x):\n"
        "        if self.training and torch.is_grad_enabled():\n"
        "            with pathlib.Path(__file__).with_name('steps').open('a') as file:\n"
        "                file.write('.')\n"
        "        return super().forward(x)\n"
        "def make():\n"
        "    return nn.Sequential(Counted(6, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))\n"
    )
    steps = tmp_path / "steps"

    def arguments(out: str, epochs: int) -> list[str]:
        return [
            *(
                sys.executable,
                "-m",
                "placenorm",
                "compare",
                f"{tmp_path / 'net.py'}:make",
                "--data",
                write_data(tmp_path),
            ),
            *("--placements", "after-activation", "--lr", "0.01", "--seeds", "1", "--batch-size", "8", "--jobs", "1"),
            *("--epochs", str(epochs), "--checkpoint", "--out", str(tmp_path / out)),
        ]

    whole = run(arguments("whole", 800))
    assert whole.returncode == 0, whole.stderr
    undisturbed = steps.stat().st_size
    steps.unlink()
    process = subprocess.Popen(arguments("out", 800), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: (steps.exists() and steps.stat().st_size > undisturbed / 5) or process.poll() is not None)
    process.kill()
    process.wait()
    assert [path.suffix for path in (tmp_path / "out" / "checkpoints").iterdir()].count(".pt") == 1
    assert not read_store(tmp_path / "out").results
    again = run([*arguments("out", 800), "--resume"])
    assert again.returncode == 0, again.stderr
    assert results_of(tmp_path / "out") == results_of(tmp_path / "whole")
    epoch = 9  # steps
    assert steps.stat().st_size < 1.1 * undisturbed + epoch, "the trial was begun anew"
    assert not (tmp_path / "out" / "checkpoints").exists()
