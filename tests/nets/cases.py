"""Which commands are frozen, and how one is run in this process."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from nets.old_home import SPACE

FROZEN = Path(__file__).parent / "frozen" / "outputs"
HOMES = ("journal", "sqlite", "draws")
MODEL = "models:/safr-planted/5"
FOLDER = "journal/checkpoints/done-*/00002/model"
TEXT = "'f0000 gut f0013 f0009 nothing f0001 f0016 f0002'"
COMPUTED = 1e-5
"""Relative: what a model computes has other last bits on other processors."""
STORED = 1e-12
"""Relative: what is only read, counted and summed."""
MATCHED = 1e-2
"""What depends on random sets that are like a set: of two that are as near, another processor may
take the other one."""
_OF_SETS = re.compile(r"neuron|capacity_effect|words_matched")
_DATA = re.compile(r'<script type="application/json" id="study-data">(.*?)</script>', re.DOTALL)
_VOLATILE = (
    # A long time as days and hours, a short one as seconds.
    (re.compile(r"Begun .*? ago"), "Begun <time> ago"),
    (re.compile(r"about [\d.]+ (s|min|h)( \d+ min)? by the search's"), "about <time> by"),
    (re.compile(r"\d+(\.\d+)? (B|kB|MB|GB) of disk"), "<bytes> of disk"),
    (re.compile(r"\(\d+(\.\d+)? (B|kB|MB|GB)\)"), "(<bytes>)"),
    (re.compile(r"\d+ trials? at once, each with \d+ CPUs?"), "<slots>"),
)
_VOLATILE_KEYS = {
    *("seconds_since_begin", "seconds_left", "disk_bytes", "bytes", "safr_study", "written"),
    *("allotment", "safr.files"),
}
"""Keys of documents whose values are of this moment, machine or version."""


@dataclass(frozen=True)
class Case:
    """A command whose output is frozen."""

    name: str
    words: str
    """``{out}`` is an empty folder; a word with ``*`` is the one path that it matches."""
    home: str = "journal"
    files: tuple[str, ...] = ()
    """Names of the files below ``{out}`` that are frozen too."""
    tolerance: float = STORED

    @property
    def outputs(self) -> tuple[str, ...]:
        """File names of what is frozen of it."""
        suffix = "json" if "--json" in self.words else "txt"
        return (f"{self.name}.{suffix}", *(f"{self.name}.{file}" for file in self.files))

    @property
    def has_page(self) -> bool:
        """Whether it writes a report, whose data are frozen."""
        return self.words.startswith("report") and "--json" not in self.words


def _three(name: str, words: str, **more: object) -> list[Case]:
    page = "/page.html" if words.startswith("report") else ""
    return [
        Case(name, f"{words} --out {{out}}{page}", **more),  # type: ignore[arg-type]
        Case(f"{name}-json", f"{words} --json", **{**more, "files": ()}),  # type: ignore[arg-type]
    ]


CASES = [
    *_three("pareto-done", "pareto done", files=("done-front.csv", "done-hypervolume.csv")),
    *_three("pareto-half", "pareto half", files=("half-front.csv",)),
    *_three("pareto-varied", "pareto varied", home="draws", files=("varied-front.csv",)),
    *_three("pareto-tpe", "pareto tpe --rows 9", home="draws", files=("tpe-front.csv",)),
    Case("pareto-sqlite", "pareto half --json", home="sqlite"),
    *_three(
        "compare",
        "compare done other",
        files=("compare-done-other.csv",),
    ),
    *_three("compare-draws", "compare tpe random varied --anyway", home="draws"),
    *_three(
        "confirm",
        "confirm done --seeds 2",
        files=("done-confirmed.md", "done-confirmed.csv", "done-confirmed-runs.csv"),
    ),
    Case("confirm-plan", "confirm other --seeds 2 --dry-run"),
    Case("confirm-plan-json", "confirm other --seeds 2 --dry-run --json"),
    *(
        Case(f"status-{study}{suffix}", f"status {study}{option}", home=home)
        for study, home in (("done", "journal"), ("half", "journal"), ("other", "sqlite"))
        for suffix, option in (("", ""), ("-json", " --json"))
    ),
    *(
        Case(f"list-{home}{suffix}", f"list{option}", home=home)
        for home in HOMES
        for suffix, option in (("", ""), ("-json", " --json"))
    ),
    Case("models", "models"),
    Case("models-json", "models --json"),
    Case("metrics", "metrics"),
    Case("metrics-json", "metrics --json"),
    *_three("report-quick", "report varied --quick --with tpe --anyway", home="draws"),
    Case("report", "report done --with other --out {out}/page.html", tolerance=COMPUTED),
    Case("evaluate", f"evaluate {FOLDER} --out {{out}}/all.csv", files=("all.csv",),
         tolerance=COMPUTED),
    Case("evaluate-json", f"evaluate {FOLDER} --json", tolerance=COMPUTED),
    Case("evaluate-registered", f"evaluate {MODEL} --quick --split test --json",
         tolerance=COMPUTED),
    Case("explain", f"explain {FOLDER} {TEXT}", tolerance=COMPUTED),
    Case("explain-json", f"explain {FOLDER} {TEXT} --layers --json",
         tolerance=COMPUTED),
]  # fmt: skip


@dataclass(frozen=True)
class Ran:
    """A command that has ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str


def run(*words: str) -> Ran:
    """Run ``safr-study`` in this process, as its script does."""
    from safr_study.cli.app import main

    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        _signals_as_before(),
        mock.patch.object(sys, "argv", ["safr-study", *words]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())


def outputs(case: Case, homes: Mapping[str, Path]) -> dict[str, str]:
    """What a case writes, by the file names of the frozen outputs, without what changes.

    Args:
        case: the command.
        homes: the unpacked homes, all in one folder.
    """
    out = f"out/{case.name}"
    parent = homes[case.home].parent
    words = [_filled(word, parent, out) for word in shlex.split(case.words)]
    if words[0] != "metrics":
        words += ["--home", case.home]
    if case.home == "sqlite":
        words += ["--storage", f"sqlite:///{homes['sqlite'] / 'studies.db'}"]
    (parent / out).mkdir(parents=True)
    # Relative paths, as the lines of a text break by their lengths.
    with contextlib.chdir(parent):
        ran = run(*words)
    assert ran.code == 0, ran.err
    at = parent / out
    texts = [ran.out, *((at / file).read_text("utf-8") for file in case.files)]
    found = dict(zip(case.outputs, texts, strict=True))
    if case.has_page:
        page = (at / "page.html").read_text("utf-8")
        match = _DATA.search(page)
        assert match is not None
        found[f"{case.name}.page.json"] = match[1]
    places = {str(homes[name]): f"<{name}>" for name in homes} | {str(SPACE): "<space>"}
    return {name: masked(text, places, name) for name, text in found.items()}


def masked(text: str, places: Mapping[str, str], name: str) -> str:
    """A text without times, paths and versions; a document is written anew, in one form."""
    for place, word in places.items():
        text = text.replace(place, word)
    if not name.endswith(".json"):
        for pattern, word in _VOLATILE:
            text = pattern.sub(word, text)
        return text
    return json.dumps(_without_volatile(json.loads(text)), indent=0, ensure_ascii=False) + "\n"


def _without_volatile(value: object) -> object:
    if isinstance(value, dict):
        return {
            key: "<masked>" if key in _VOLATILE_KEYS else _without_volatile(one)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_without_volatile(one) for one in value]
    return value


def _filled(word: str, parent: Path, out: str) -> str:
    if "*" not in word:
        return word.format(out=out)
    (found,) = parent.glob(word)
    return str(found.relative_to(parent))


@contextlib.contextmanager
def _signals_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def differences(new: str, old: str, name: str, tolerance: float) -> Sequence[str]:
    """Where an output is another than the frozen one, at most ten places."""
    if new == old:
        return []
    if name.endswith(".json"):
        return list(_between(json.loads(new), json.loads(old), "", tolerance))[:10]
    if tolerance > STORED:
        return list(_between(_parts(new), _parts(old), "", 1.001e-2))[:10]
    lines = zip(new.splitlines(), old.splitlines(), strict=False)
    different = [f"{a!r} was {b!r}" for a, b in lines if a != b]
    return different[:10] or ["one of them has more lines"]


def _between(new: object, old: object, where: str, tolerance: float) -> Iterator[str]:
    if isinstance(new, dict) and isinstance(old, dict):
        if list(new) != list(old):
            yield f"{where}: keys {list(new)} were {list(old)}"
            return
        for key in new:
            yield from _between(new[key], old[key], f"{where}.{key}", tolerance)
    elif isinstance(new, list) and isinstance(old, list):
        if len(new) != len(old):
            yield f"{where}: {len(new)} entries were {len(old)}"
            return
        for i, (a, b) in enumerate(zip(new, old, strict=True)):
            named = a.get("name", i) if isinstance(a, dict) else i
            yield from _between(a, b, f"{where}[{named}]", tolerance)
    elif isinstance(new, float) and isinstance(old, float):
        if tolerance > STORED and _OF_SETS.search(where):
            tolerance = MATCHED
        if abs(new - old) > tolerance * max(1.0, abs(old)):
            yield f"{where}: {new!r} was {old!r}"
    elif type(new) is not type(old) or new != old:
        yield f"{where}: {new!r} was {old!r}"


def _parts(text: str) -> list[object]:
    """Words and numbers of a text whose numbers may differ in their last digit, without bars."""
    words = re.sub(r"[█▏▎▍▌▋▊▉─]+", " ", text).replace(",", " ").split()
    return [
        float(word) if re.fullmatch(r"[-+]?\d+\.\d+(e[-+]\d+)?", word) else word for word in words
    ]
