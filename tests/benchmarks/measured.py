"""What `make bench` prints and keeps: one line per measurement, with its target and the machine."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

RESULTS = Path("docs/results")
FILE = RESULTS / "bench.jsonl"


@dataclass(frozen=True, slots=True)
class Measured:
    """One number, exactly as measured."""

    name: str
    value: float
    unit: str
    """``ratio``, ``s``, ``ms``, ``MB``, ``trials``."""
    target: float | None = None
    bound: Literal["at most", "at least"] = "at most"
    """Of the target."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the number was made of."""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; ``None``: there is none."""
        if self.target is None:
            return None
        return self.value <= self.target if self.bound == "at most" else self.value >= self.target


def machine() -> dict[str, Any]:
    """Where it was measured."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    model = re.search(r"model name\s*: (.+)", text)
    return {
        "cpu": model[1].strip() if model else platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def keep(lines: Iterable[Measured], *, file: Path = FILE) -> None:
    """Append each line, with the machine, the commit, the time and how busy the machine was."""
    file.parent.mkdir(parents=True, exist_ok=True)
    where = {**machine(), "commit": _commit(), "load": round(os.getloadavg()[0], 1)}
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with file.open("a", encoding="utf-8") as out:
        for line in lines:
            plain = {**dataclasses.asdict(line), "met": line.met, "when": when, "machine": where}
            out.write(json.dumps(plain) + "\n")


def newest(file: Path = FILE) -> dict[str, list[Measured]]:
    """Of every measurement that was kept its newest line, by the machine that it was made on.

    Machines and lines stand in the order in which they first came.
    """
    found: dict[str, dict[str, Measured]] = {}
    for text in file.read_text(encoding="utf-8").splitlines():
        plain = json.loads(text)
        fields = {one.name: plain[one.name] for one in dataclasses.fields(Measured)}
        found.setdefault(described(plain["machine"]), {})[plain["name"]] = Measured(**fields)
    return {machine: list(lines.values()) for machine, lines in found.items()}


def described(where: Mapping[str, Any]) -> str:
    """A machine in one line."""
    return (
        f"{where['cpu']}, {where['cores']} cores, {where['memory_gb']} GB, Python "
        f"{where['python']}, torch {where['torch']}"
    )


def markdown(lines: Sequence[Measured], where: str | None = None) -> str:
    """The table for people.

    Args:
        lines: its rows.
        where: `described`; ``None``: this machine.
    """
    rows = ["| measured | value | target | met |", "|---|---|---|---|"]
    for line in lines:
        target = "" if line.target is None else f"{line.bound} {line.target:g} {_unit(line)}"
        met = {None: "", True: "yes", False: "no"}[line.met]
        shown = f"{line.value:.3g}" if abs(line.value) < 1000 else f"{line.value:,.0f}"
        rows.append(f"| {line.name} | {shown} {_unit(line)} | {target.strip()} | {met} |")
    rows += ["", f"{where or described(machine())}."]
    return "\n".join(rows) + "\n"


def report(lines: Sequence[Measured]) -> None:
    """Keep the lines, and print them."""
    keep(lines)
    sys.stdout.write(markdown(lines))


def _unit(line: Measured) -> str:
    return "" if line.unit == "ratio" else line.unit


def _commit() -> str | None:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or None
