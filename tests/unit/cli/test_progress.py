"""Progress in a file or a pipe: a line now and then, whatever runs after what."""

import pytest

from placenorm.cli import console
from placenorm.cli.console import show_progress


def run(counts: list[tuple[int, int]], capsys: pytest.CaptureFixture[str]) -> list[str]:
    with show_progress(quiet=False) as tell:
        for finished, total in counts:
            tell(finished, total)
    return capsys.readouterr().err.splitlines()


def test_a_line_comes_every_twentieth_part_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run([(finished, 200) for finished in range(201)], capsys)
    assert lines[0] == "0 of 200 trials are finished; the next ones begin"
    assert [line.split(" trials")[0] for line in lines[1:]] == [f"{each} of 200" for each in range(10, 201, 10)]


def test_verdict_after_a_search_has_lines_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    search, verdict = [(finished, 40) for finished in range(41)], [(finished, 20) for finished in range(21)]
    lines = run(search + verdict, capsys)
    begun = lines.index("0 of 20 trials are finished; the next ones begin")
    assert [line.split(" trials")[0] for line in lines[begun + 1 :]] == [f"{each} of 20" for each in range(1, 21)]


def test_a_trial_after_a_long_pause_has_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 10_000, 400))
    monkeypatch.setattr(console.time, "monotonic", lambda: float(next(now)))
    lines = run([(finished, 1000) for finished in range(6)], capsys)
    assert [line.split(" trials")[0] for line in lines[1:]] == ["2 of 1000", "4 of 1000"]
    assert "800 s gone" in lines[1]
