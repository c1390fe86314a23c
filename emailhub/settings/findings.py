"""What is wrong with the settings, collected, so that a stranger reads everything at once and not one error a start."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from emailhub.core.errors import EmailhubError


class Problem(msgspec.Struct, frozen=True):
    """One thing that must change before emailhub can start. `text` says what was expected and what to do."""

    variable: str
    source: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"

    @property
    def place(self) -> str:
        """The variable, with its source when there is one."""
        return f"{self.variable} ({self.source})" if self.source else self.variable


class SettingsError(EmailhubError, ValueError):
    """The settings do not work. `problems` lists everything that is wrong; `str` is a text to print."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__(str(self))

    def __str__(self) -> str:
        count = "one setting needs" if len(self.problems) == 1 else f"{len(self.problems)} settings need"
        return "\n".join([f"{count} your attention:", *(f"  {problem}" for problem in self.problems)])


@dataclass(slots=True)
class Findings:
    """Collects problems and warnings while settings are read. `broken` are attributes whose value cannot be used,
    `foreign_smtp` names that begin with SMTP_ and are no setting: somebody means to send mail.
    """

    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    foreign_smtp: set[str] = field(default_factory=set)

    def problem(self, variable: str, source: str, text: str, *, breaks: str | None = None) -> None:
        """Note that `variable` must change; rules about the attribute `breaks` are then not tried."""
        self.problems.append(Problem(variable, source, text))
        if breaks:
            self.broken.add(breaks)

    def warn(self, text: str) -> None:
        """Note something an operator should read, and start anyway."""
        self.warnings.append(text)
