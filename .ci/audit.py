"""Known vulnerabilities of the pinned versions, by pip-audit; what could not be asked is said.

Run by ``make audit``. Ends with 1 for a vulnerability that audit-exceptions.toml does not name, and
for an exception that nothing needs any more. Without the vulnerability database nothing is known:
that is said, and no failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CONSTRAINTS = HERE.parent / "constraints.txt"
EXCEPTIONS = HERE / "audit-exceptions.toml"
COMMAND = (
    *(sys.executable, "-m", "pip_audit", "--requirement", str(CONSTRAINTS)),
    *("--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"),
)


def verdict(report: dict[str, Any] | None, reasons: dict[str, str]) -> tuple[int, list[str]]:
    """The exit code and the lines to print.

    Args:
        report: pip-audit's JSON; ``None`` where it ended without one.
        reasons: why a vulnerability is accepted, by its id.
    """
    dependencies = [] if report is None else report["dependencies"]
    asked = [one for one in dependencies if "skip_reason" not in one]
    if not asked:
        return 0, ["audit: NOT DONE: the vulnerability database does not answer here"]
    code, lines, used = 0, [], set()
    for one in asked:
        for found in one["vulns"]:
            names = {found["id"], *found.get("aliases", ())}
            accepted = sorted(names & reasons.keys())
            used.update(accepted)
            what = f"{one['name']} {one['version']}: {found['id']}"
            if accepted:
                lines.append(f"accepted: {what}: {reasons[accepted[0]]}")
            else:
                code = 1
                fixed = ", ".join(found["fix_versions"]) or "no version yet"
                lines.append(f"error: {what}; fixed in {fixed}")
    for name in sorted(reasons.keys() - used):
        code = 1
        lines.append(f"error: {name} of {EXCEPTIONS.name} is needed no more; remove it")
    unknown = len(dependencies) - len(asked)
    left = f"; {unknown} could not be asked about" if unknown else ""
    lines.append(f"audit: {len(asked)} versions asked about{left}")
    return code, lines


def main() -> int:
    """Ask, and print."""
    reasons = tomllib.loads(EXCEPTIONS.read_text("utf-8"))["reasons"]
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        # No connection at all: pip-audit ends with a trace and without a report.
        report = None
        print(done.stderr.strip().rpartition("\n")[2], file=sys.stderr)
    code, lines = verdict(report, reasons)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
