"""Write docs/folding.md from the rows of `bench/folding.py` and `bench/folding_speed.py`.

Run from the root of the repository:

    python tools/write_folding_page.py
"""

import json
from collections import Counter
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

ROWS: Final = Path("docs/folding.jsonl")
SPEED: Final = Path("docs/runs/bench/folding-cpu.jsonl")
PAGE: Final = Path("docs/folding.md")

WRONG: Final = 1e-3
"""From this error on, in float64, a result is another one."""

EXACT: Final = 1e-9
"""Up to this error a result of ours is the same."""

WANTED: Final = {"torchvision": 68, "timm": 59}
"""Models of torchvision with batch norms, and modules of timm that have one, in docs/coverage.jsonl."""

Row = dict[str, Any]

BEFORE: Final = "before-activation"
BEHIND: Final = "after-activation"


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file, the last of each case."""
    rows: dict[str, Row] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        row = json.loads(line)
        rows[row.get("case", line)] = row
    return [rows[key] for key in sorted(rows)]


def write_page(rows: Path, speed: Path) -> str:
    """Return the page.

    Args:
        rows: the file of `bench/folding.py`.
        speed: the file of `bench/folding_speed.py`.
    """
    found = [row for row in read_rows(rows) if row.get("norms") != 0]
    done = [row for row in found if "folded" in row]
    placed = [row for row in done if row["case"].startswith("placed:")]
    torchvision = [row for row in done if row["case"].startswith("torchvision:")]
    timm = [row for row in done if row["case"].startswith("timm:")]
    parts = [
        *_write_head(done),
        *_write_summary(torchvision, timm),
        *_write_placed(placed),
        *_write_models(
            "torchvision",
            "Its models with batch norms, the small ones first; those without a row are not measured yet.",
            torchvision,
        ),
        *_write_models(
            "timm",
            "Of each module of `timm.models` that has a model with batch norms, the one with the fewest parameters; "
            "those without a row are not measured yet.",
            timm,
        ),
        *_write_wrong(done),
        *_write_reasons(done),
        *_write_out(found),
        *_write_speed(read_rows(speed)),
    ]
    return "\n".join(parts) + "\n"


def _write_head(done: list[Row]) -> list[str]:
    versions = ", ".join(sorted({row["versions"] for row in done if "versions" in row}))
    worst = max((row["error"] for row in done if row["error"] is not None), default=0.0)
    return [
        "# Folding: how many norms go",
        "",
        f"`python bench/folding.py` on {versions}. Random weights; every norm has $|\\gamma|$ in 0.5..1.5 with both "
        "signs, $\\beta$ and running means in -0.5..0.5, running variances in 0.5..2. Two images of the smallest size "
        "that the model takes, from 64 pixels on. Every row is in [folding.jsonl](folding.jsonl), the algebra in "
        "[maths/folding.md](maths/folding.md).",
        "",
        "* **norms**: those that run in evaluation. **ours**: folded by `placenorm.fold`, with proof on three sizes of "
        "input. **error**: the largest of them, as a share of the largest output, in float64.",
        "* **bound**: what the algebra allows: norms that can go by themselves, less those that have to stay of "
        "disjoint sets that shut each other out. No choice of norms exceeds it. **$\\gamma > 0$**: how many have forms "
        "if all gammas are taken positive.",
        "* **bordered**: convs that correct their output at the border.",
        "* **fx**: `torch.fx.experimental.optimization.fuse`; **timm**: its `reparameterize_model`. A dash where the "
        f"model cannot be traced or the call fails; **wrong** with an error over {WRONG:.0e}.",
        "",
        f"The largest error of ours in {len(done)} rows is {worst:.1e}.",
        "",
    ]


def _write_summary(torchvision: list[Row], timm: list[Row]) -> list[str]:
    lines = [
        "| | models | norms | ours | bound | $\\gamma > 0$ | fx | timm |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, rows in (("torchvision", torchvision), ("timm, by family", timm)):
        if not rows:
            continue
        norms = sum(row["norms"] for row in rows)
        shares = [_share(sum(row[key] for row in rows), norms) for key in ("folded", "bound", "bound_positive")]
        shares.append(_share(sum(_count_fx(row) or 0 for row in rows), norms))
        theirs = _share(sum(_count_timm(row) or 0 for row in rows), norms) if rows is timm else ""
        lines.append(f"| {name} | {len(rows)} | {norms} | {' | '.join(shares)} | {theirs} |")
    whole = [row for row in (*torchvision, *timm) if row["folded"] == row["norms"]]
    short = [row for row in (*torchvision, *timm) if row["folded"] < row["bound"]]
    return [
        *lines,
        "",
        f"Every norm goes in {len(whole)} of {len(torchvision) + len(timm)} models. "
        + (
            f"Ours is below the bound in {', '.join(_name(row) for row in short)}."
            if short
            else "Ours is the bound in each of them."
        ),
        "",
    ]


def _write_placed(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    order = (BEFORE, BEHIND, "after-pool", "after-pool-before-activation")

    def rank(row: Row) -> tuple[str, int, str]:
        _, model, position, signs = row["case"].split(":")
        return model, order.index(position), signs

    lines = [
        "## Four placements",
        "",
        "Norms placed by `pn.place`, all gammas positive or of both signs. At `after-pool-before-activation` blocks "
        "without such a place have their norms before the activation.",
        "",
        "| model | placement | signs | norms | ours | bound | bordered | error | why the rest stays |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=rank):
        _, model, position, signs = row["case"].split(":")
        reasons = "; ".join(f"{count} x {reason}" for reason, count in row["reasons"].items())
        lines.append(
            f"| {model} | {position} | {signs} | {row['norms']} | {row['folded']} | {row['bound']} | "
            f"{row['bordered']} | {row['error']:.1e} | {reasons} |"
        )
    return [*lines, ""]


def _write_models(zoo: str, words: str, rows: list[Row]) -> list[str]:
    if not rows:
        return []
    theirs = zoo == "timm"
    if len(rows) < WANTED[zoo]:
        words += (
            f" **Not finished**: {len(rows)} of {WANTED[zoo]}, the smaller ones; `python bench/folding.py` goes on "
            "with the others."
        )
    head = ["model", "input", "norms", "ours", "bound", "$\\gamma > 0$", "bordered", "error", "fx"]
    head = ["family", *head, "timm"] if theirs else head
    lines = [f"## {zoo}", "", words, "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [
            _name(row),
            "x".join(map(str, row["input"][1:])),
            row["norms"],
            _emphasise(row["folded"], row["norms"]),
            row["bound"],
            row["bound_positive"],
            row["bordered"],
            f"{row['error']:.1e}",
            _tell_other(row.get("fx"), _count_fx(row)),
        ]
        if theirs:
            cells = [row["family"], *cells, _tell_other(row.get("timm"), _count_timm(row))]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return [*lines, ""]


def _count_fx(row: Row) -> int | None:
    fx = row.get("fx", {})
    return max(row["norms"] - fx["left"], 0) if "left" in fx else None


def _count_timm(row: Row) -> int | None:
    count: int | None = row.get("timm", {}).get("folded")
    return count


def _tell_other(other: Row | None, count: int | None) -> str:
    if other is None or count is None:
        return "-"
    return f"{count}, **wrong**" if other["error"] > WRONG else str(count)


def _write_wrong(done: list[Row]) -> list[str]:
    lines: list[str] = []
    for row in done:
        for key, name in (("fx", "`fuse` of torch.fx"), ("timm", "`reparameterize_model`")):
            error = row.get(key, {}).get("error", 0.0)
            if error > WRONG:
                lines.append(f"* {_name(row)}: {name} is off by {error:.1e} of the largest output.")
    ours = [f"* {_name(row)}: {row['error']:.1e}." for row in done if row["error"] > EXACT]
    if ours:
        lines += ["", f"Ours over {EXACT:.0e}:", "", *ours]
    return ["## Wrong results", "", *(lines or ["None were seen, by anyone."]), ""]


def _write_reasons(done: list[Row]) -> list[str]:
    counts: Counter[str] = Counter()
    models: Counter[str] = Counter()
    for row in done:
        if not row["case"].startswith("placed:"):
            counts.update(row["reasons"])
            models.update(row["reasons"].keys())
    lines = ["## Why norms stay", "", "| norms | models | reason, without names |", "|---|---|---|"]
    lines += [f"| {count} | {models[reason]} | {reason} |" for reason, count in counts.most_common()]
    return [*lines, ""]


def _write_out(found: list[Row]) -> list[str]:
    failed = [row for row in found if "folded" not in row]
    untraced = Counter(
        _name(row) for row in found if str(row.get("fx", {}).get("trouble", "")).startswith("does not trace")
    )
    lines = [
        "## Left out",
        "",
        "torchvision's quantised models (integer arithmetic, whose norms are gone), and its models and timm's without "
        "batch norms.",
        "",
        *(f"* {_name(row)}: {row['trouble']}" for row in failed),
        *([""] if failed else []),
    ]
    if untraced:
        lines += [f"torch.fx does not trace {len(untraced)}: {', '.join(untraced)}.", ""]
    return lines


# -- speed


def _write_speed(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    first = rows[0]
    note = f" {first['note']}" if first["note"] else ""
    lines = [
        "## Time",
        "",
        f"`python bench/folding_speed.py` on {first['device']}, threads: {first['threads']}, {first['versions']}. All "
        "gammas positive; four candidates run in rounds, each in an order of its own, eager ones as five copies in "
        "turn, and a ratio is the median of the ratios within a round, with its quartiles. Below 1 the first is "
        "faster. Norms that stay behind the activation are counted."
        f"{note}",
        "",
        "| model | batch | pixels | | before, as it is | before, folded / as it is | behind, stay "
        "| behind, folded / as it is | behind, folded / before, folded |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        samples = row["samples_ms"]
        plain, folded = (samples[f"{BEFORE}, {state}"] for state in ("as it is", "folded"))
        behind, behind_folded = (samples[f"{BEHIND}, {state}"] for state in ("as it is", "folded"))
        lines.append(
            f"| {row['model']} | {row['batch']} | {row['size']} | {row['mode']} | {median(plain):.1f} ms | "
            f"{_compare(folded, plain)} | {row['left'][BEHIND]} | {_compare(behind_folded, behind)} | "
            f"{_compare(behind_folded, folded)} |"
        )
    return [*lines, ""]


def _compare(one: list[float], other: list[float]) -> str:
    ratios = [a / b for a, b in zip(one, other, strict=True)]
    low, middle, high = quantiles(ratios, n=4)
    return f"{middle:.3f} ({low:.3f}..{high:.3f})"


# -- words


def _name(row: Row) -> str:
    return f"`{row['case'].partition(':')[2]}`"


def _share(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.1f} %)" if whole else "0"


def _emphasise(part: int, whole: int) -> str:
    return f"**{part}**" if part == whole else str(part)


def main() -> None:
    """Write the page."""
    PAGE.write_text(write_page(ROWS, SPEED), encoding="utf-8")


if __name__ == "__main__":
    main()
