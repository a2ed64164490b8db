"""What a check found in a network, as facts: for the terminal and for JSON."""

from dataclasses import dataclass

from placenorm.facts.finding import Finding
from placenorm.facts.graph import Unseen
from placenorm.facts.placement import Position


@dataclass(frozen=True, slots=True)
class Check:
    """What the rules found in one network.

    Attributes:
        model: what the network is called.
        inputs: shapes of the example input, as text.
        norms: how many norms run in it.
        rules: codes of the rules that were asked.
        findings: what they found, the worst first.
        silenced: how many findings a comment in the model's source silenced.
        unseen: what tracing could not describe, so that no rule could look at it.
        batches: how many batches of data were looked at; 0 without data.
    """

    model: str
    inputs: str
    norms: int
    rules: tuple[str, ...]
    findings: tuple[Finding, ...]
    silenced: int
    unseen: tuple[Unseen, ...]
    batches: int

    def placement(self) -> dict[str, Position]:
        """Return the safe fixes as positions by block key; with `preserve` the network evaluates to the same."""
        return {
            key: position
            for finding in self.findings
            if finding.fix is not None and finding.fix.exact
            for key, position in finding.fix.placement.items()
        }
