"""The page on folding says what the committed rows say, and the rows keep what the page promises."""

from pathlib import Path

from support.scripts import load_script

ROOT = Path(__file__).parents[2]
ROWS = ROOT / "docs" / "folding.jsonl"
SPEED = ROOT / "docs" / "runs" / "bench" / "folding-cpu.jsonl"


def test_page_is_what_the_committed_rows_say() -> None:
    page = load_script("tools/write_folding_page.py").write_page(ROWS, SPEED)
    assert (ROOT / "docs" / "folding.md").read_text(encoding="utf-8") == page
    assert "## Why norms stay" in page


def test_no_row_is_wrong_or_above_the_bound() -> None:
    tool = load_script("tools/write_folding_page.py")
    rows = [row for row in tool.read_rows(ROWS) if "folded" in row]
    assert rows
    for row in rows:
        assert row["error"] <= tool.EXACT, row["case"]
        assert row["folded"] <= row["bound"] <= row["norms"], row["case"]
        assert row["folded"] + sum(row["reasons"].values()) == row["norms"], row["case"]


def test_case_that_is_examined_anew_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"case": "timm:a", "trouble": "x"}\n{"case": "timm:a", "norms": 0}\n', encoding="utf-8")
    assert load_script("tools/write_folding_page.py").read_rows(path) == [{"case": "timm:a", "norms": 0}]
