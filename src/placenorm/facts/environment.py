"""Where a result was measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Environment:
    """The machine and the versions behind a result.

    Attributes:
        placenorm: version of placenorm.
        torch: version of torch.
        python: version of Python.
        platform: operating system and processor.
        cores: processor cores that the process may use.
        device: where the trials ran: ``cpu`` or the GPU's name.
        date: day of the first trial, ISO 8601.
        command: the command that repeats the run.
    """

    placenorm: str
    torch: str
    python: str
    platform: str
    cores: int
    device: str
    date: str
    command: str
