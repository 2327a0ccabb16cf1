"""`portside doctor`: what this kernel and this user can do, and what each missing thing costs."""

from __future__ import annotations

from portside.cli.command import FOUND, NO_HEADER, NOTHING, Command
from portside.cli.output import Column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import SimpleNamespace

    from portside.cli.output import Output

_WORDS = {"yes": "yes", "no": "no", "unknown": "could not tell"}
_STYLES = {"yes": "green", "no": "yellow", "unknown": "dim"}

COLUMNS = (
    Column("name", "PROBE", lambda finding: finding.name),
    Column(
        "answer",
        "ANSWER",
        lambda finding: _WORDS[finding.answer],
        style=lambda finding: _STYLES[finding.answer],
    ),
    Column("reason", "WHY", lambda finding: finding.reason, shrink=1),
    Column("since", "LINUX", lambda finding: finding.since, shrink=3),
    Column("cost", "WITHOUT IT", lambda finding: finding.cost if finding.answer != "yes" else "", shrink=2),
)


def run(arguments: SimpleNamespace, output: Output) -> int:
    """Try every probe and print what came of it; exit 0 when all said yes."""
    from portside.system.capabilities import examine_all

    findings = examine_all()
    if output.json:
        output.envelope("doctor", [dict(finding.items()) for finding in findings])
    else:
        output.table(findings, COLUMNS, header=not arguments.no_header)
    return FOUND if all(finding.answer == "yes" for finding in findings) else NOTHING


COMMAND = Command(
    "doctor",
    "what this kernel and this user can do, and what is missing for more",
    (NO_HEADER,),
    run,
    description="Try each kernel feature that Portside uses and say yes, no, or could not tell, and why.",
    examples="  portside doctor\n  sudo portside doctor --json",
)
