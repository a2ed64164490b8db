"""The rules of check on every classification network of torchvision, and the pages about them.

    python bench/rules.py [--out docs/rules] [--pages-only]

Each network is built without weights, checked on one image of its own size without data, and timed without the
building. The table of findings per rule goes into ``index.md`` beside ``findings.json``; the page of a rule is its
docstring.
"""

import argparse
import inspect
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import placenorm as pn
from placenorm.facts.finding import Figure
from placenorm.rules.checking import CHECK_RULES
from placenorm.rules.rule import Rule, TrainingRule
from placenorm.rules.training import TRAINING_RULES

AnyRule = Rule | TrainingRule

ALL_RULES: tuple[AnyRule, ...] = (*CHECK_RULES, *TRAINING_RULES)

FAMILIES = {
    "BN1": "placement: decided from the network alone",
    "BN2": "statistics and modes: from what the norms hold, and on data",
    "BN3": "precision, optimizer and devices",
    "BN4": "what training shows: found by `pn.watch`",
}
UNDECIDED = (
    "Not decided, since nothing in a network tells: batches in which positives of a contrastive loss meet, real and "
    "made-up images in one batch of a discriminator, padded sequences, gradient accumulation (torch's norms see each "
    "small batch by itself). What folds wrongly is a matter of the folding tool. Whether a norm could go behind a "
    "pool, `placenorm advise` says."
)


def list_classifiers() -> list[str]:
    """Return the names of torchvision's classification models."""
    from torchvision import models

    return list(models.list_models(module=models))


def examine(name: str) -> dict[str, Any]:
    """Return how many findings each rule has in a network, and how long checking took."""
    from torchvision import models

    builder: Any = models.get_model_builder(name)
    weights = models.get_model_weights(name)
    size = min(each.transforms().crop_size[0] for each in weights)
    torch.manual_seed(0)
    settings = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    try:
        with torch.device("meta"):
            model = builder(**settings)
    except NotImplementedError:  # RegNets compute their widths with tensors
        model = builder(**settings).to("meta")
    for module in model.modules():  # weights have no values; that nothing was trained is known all the same
        if getattr(module, "num_batches_tracked", None) is not None:
            module.num_batches_tracked = torch.tensor(0)
    example = torch.zeros(2, 3, size, size, device="meta")
    started = time.process_time()
    found = pn.check(model, example)
    seconds = time.process_time() - started
    counts = {rule.code: 0 for rule in CHECK_RULES}
    for finding in found:
        counts[finding.code] += 1
    severities = sorted({(finding.code, finding.severity) for finding in found})
    return {
        "model": name,
        "norms": found.check.norms,
        "findings": {code: count for code, count in counts.items() if count},
        "severities": severities,
        "seconds": round(seconds, 3),
    }


def write_pages(folder: Path) -> None:
    """Write the page of each rule, and the index with what was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    for rule in ALL_RULES:
        (folder / f"{rule.code}.md").write_text(make_page(rule))
    measured = json.loads((folder / "findings.json").read_text())
    (folder / "index.md").write_text(make_index(measured))


def make_page(rule: AnyRule) -> str:
    """Return a rule's page: its docstring, and the figures that it stands on."""
    lines = [f"# {rule.code} {rule.name}", "", f"Severity: {rule.severity}, unless the finding says otherwise.", ""]
    for heading, text in read_sections(rule):
        lines += [f"## {heading}", "", text, ""] if heading else [text, ""]
    if rule.figures:
        lines += ["## Figures", "", *(say_figure(figure) for figure in rule.figures), ""]
    if rule in CHECK_RULES:
        lines += [f"Silence it on a line of the source with `# placenorm: ignore[{rule.code}]`.", ""]
    return "\n".join(lines)


def read_sections(rule: AnyRule) -> Iterator[tuple[str, str]]:
    """Yield the sections of a rule's docstring as headings and text; the first has no heading."""
    heading, text = "", list[str]()
    for line in inspect.cleandoc(rule.look.__doc__ or "").splitlines():
        if line and not line.startswith(" ") and line.endswith(":"):
            yield heading, " ".join(text)
            heading, text = line[:-1], []
        elif line.strip():
            text.append(line.strip())
    yield heading, " ".join(text)


def say_figure(figure: Figure) -> str:
    """Return a figure as a line of Markdown."""
    source = f"[{figure.source}]({figure.url})" if figure.url else figure.source
    return f"- {figure.text} ({figure.setting}; {source}; {figure.mark})"


def make_index(measured: dict[str, Any]) -> str:
    """Return the page of all rules with what they find in torchvision's networks."""
    rows = measured["models"]
    with_norms = [row for row in rows if row["norms"]]
    median = sorted(row["seconds"] for row in rows)[len(rows) // 2]
    slowest = max(rows, key=lambda row: row["seconds"])
    lines = [
        "# The rules of `placenorm check` and `pn.watch`",
        "",
        "Each rule's page is its docstring. `python bench/rules.py` writes these pages and counts what the rules find, "
        f"without data, in the {len(rows)} classification networks of torchvision {measured['torchvision']} "
        f"({len(with_norms)} have norms) as they are built, before any training. The slowest took "
        f"{slowest['seconds']} s of processor time ({slowest['model']}), the median {median} s. None raised an error.",
        "",
    ]
    for family, words in FAMILIES.items():
        rules = [rule for rule in ALL_RULES if rule.code.startswith(family)]
        if family == "BN4":
            lines += [f"## {family}xx {words}", "", "| rule | severity |", "|---|---|"]
            lines += [f"| [{rule.code}]({rule.code}.md) {rule.name} | {rule.severity} |" for rule in rules] + [""]
            continue
        lines += [
            f"## {family}xx {words}",
            "",
            "| rule | severity | networks | findings | in them it is |",
            "|---|---|---:|---:|---|",
        ]
        for rule in rules:
            hit = [row for row in rows if row["findings"].get(rule.code)]
            grades = sorted({grade for row in hit for code, grade in row["severities"] if code == rule.code})
            lines.append(
                f"| [{rule.code}]({rule.code}.md) {rule.name} | {rule.severity} | {len(hit)} "
                f"| {sum(row['findings'][rule.code] for row in hit)} | {', '.join(grades)} |"
            )
        lines.append("")
    return "\n".join([*lines, UNDECIDED, ""])


def main() -> None:
    """Check the networks, and write the pages."""
    parser = argparse.ArgumentParser(description="Check torchvision's networks, and write the pages of the rules.")
    parser.add_argument("--out", type=Path, default=Path("docs/rules"))
    parser.add_argument("--pages-only", action="store_true", help="Write the pages from the findings that are there.")
    options = parser.parse_args()
    if not options.pages_only:
        import torchvision

        torch.set_num_threads(1)
        examine("resnet18")  # what is loaded when it is first used
        rows = [examine(name) for name in list_classifiers()]
        options.out.mkdir(parents=True, exist_ok=True)
        held = {"torch": torch.__version__.split("+")[0], "torchvision": torchvision.__version__.split("+")[0]}
        (options.out / "findings.json").write_text(json.dumps({**held, "models": rows}, indent=1) + "\n")
    write_pages(options.out)
    print(f"Written: {options.out / 'index.md'}")


if __name__ == "__main__":
    main()
