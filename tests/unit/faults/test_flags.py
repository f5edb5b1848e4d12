"""Flags and arguments of every command: those that the command line itself can refuse, and ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import typer.main
from bad_input import Case, Table, all_of, counted, writes

from safr_study.cli.app import app

EMPTY: Callable[[Path], object] = lambda folder: (folder / "x").mkdir()  # noqa: E731
"""A folder that could be a model's."""
PLANTED = ("--dataset", "planted", "--dry-run")
COMMANDS: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def of_every_command() -> Table:
    """What the declarations of the commands promise, without anyone writing it down again."""
    table: Table = {"no such command": Case(("serach",), "serach")}
    for name, command in COMMANDS.items():
        needed = [p for p in command.params if p.required]
        given = [word for p in needed for word in _given(p)]
        table[f"{name} --colour"] = Case((name, *given, "--colour"), "--colour")
        if all(p.nargs != -1 for p in command.params):
            table[f"{name} with too much"] = Case((name, *given, *["more"] * 4), "command line: ")
        for parameter in needed:
            rest = [word for p in needed if p is not parameter for word in _given(p)]
            wanted = parameter.opts[0] if parameter.opts[0].startswith("-") else ""
            table[f"{name} without {parameter.name}"] = Case((name, *rest), wanted)
        for parameter in command.params:
            option = parameter.opts[0]
            if not option.startswith("-") or parameter.is_flag:
                continue
            table[f"{name} {option} without a value"] = Case((name, *given, option), option)
            if _types(parameter) & {int, float}:
                table[f"{name} {option} few"] = Case((name, *given, option, "few"), option)
            if parameter.min is not None:
                below = str(parameter.min - 1)
                table[f"{name} {option} {below}"] = Case((name, *given, option, below), option)
            if _choices(parameter):
                table[f"{name} {option} psychic"] = Case((name, *given, option, "psychic"), option)
    return table


def _given(parameter: Any) -> list[str]:
    value = next(iter(_choices(parameter)), "planted")
    return [parameter.opts[0], value] if parameter.opts[0].startswith("-") else [value]


def _types(parameter: Any) -> set[Any]:
    """What the annotation of an option takes, beside nothing and several."""
    annotation = parameter.type_descriptor.annotation
    parts = get_args(annotation) or (annotation,)
    return {inner for part in parts for inner in (get_args(part) or (part,))}


def _choices(parameter: Any) -> list[str]:
    annotation = parameter.type_descriptor.annotation
    for kind in (annotation, *get_args(annotation)):
        if get_origin(kind) is Literal:
            return list(get_args(kind))
    return []


def search(*words: str, says: str, **more: Any) -> Case:
    return Case(("search", *PLANTED, *words), says, **more)


OURS: Table = {
    "a name with a slash": search("--study", "a/b", says="name: "),
    "a name that leads out": search("--study", "../../x", says="name: "),
    "a name that hides": search("--study", ".x", says="name: "),
    "a name of an option": search("--study", "--study", says="name: "),
    "a name of a page": search("--study", "x" * 5000, says="name: "),
    "one objective": search("--objective", "accuracy", says="two objectives or more"),
    "no such objective": search("--objective", "beauty", says="objective: 'beauty'"),
    "an objective at no depth": search("--objective", "srs@0", says="objective: 'srs@0'"),
    "an objective at a word": search("--objective", "srs@all", says="objective: 'srs@all'"),
    "an objective that is given twice": search(
        *("--objective", "srs@30", "--objective", "srs@30.0"), says="repeat"
    ),
    "an objective of pairs": search(
        *("--objective", "accuracy", "--objective", "srs_first@30"), says="needs pairs of texts"
    ),
    "a side of one text": search("--delete", "first", says="delete: there is one text"),
    "a k of nothing": search("--k", "0", says="objective: 'srs@0'"),
    "a k that is no number": search("--k", "nan", says="objective: 'srs@nan'"),
    "a k without end": search("--k", "inf", says="objective: 'srs@inf'"),
    "a k above all": search("--k", "101", says="objective: 'srs@101'"),
    "capacity nowhere": search(
        "--capacity-layer", "ffn2", says="evaluation.capacity_layer: 'ffn2' is no layer of capacity"
    ),
    "capacity in block nothing": search(
        "--capacity-layer", "ffn1_pre_relu:0", says="capacity_layer: 'ffn1_pre_relu:0' is no layer"
    ),
    "capacity in a block that is not there": search(
        "--capacity-layer", "ffn1_post_relu:2", says="layer: there is no block 2: the model has one"
    ),
    "a setting of encoders without one": search(
        *("--space", "x.yaml"),
        says="space: it has pooling, train_encoder, which only a model over a pretrained encoder",
        given=writes(
            "x.yaml",
            "name: x\nparameters:\n  pooling: {type: categorical, choices: [mean, cls]}\n"
            "fixed: {train_encoder: head}\n",
        ),
    ),
    "no time": search("--time-budget", "soon", says="time-budget: 'soon' is no time"),
    "a time of nothing": search("--time-budget", "0", says="time-budget: '0' is no time"),
    "a time before now": search("--time-budget", "-2h", says="time-budget: '-2h' is no time"),
    "a time without end": search("--time-budget", "9" * 400, says="time-budget: "),
    "cores that are no number": search("--cpus-per-trial", "nan", says="cpus_per_trial"),
    "no cores": search("--cpus-per-trial", "0", says="cpus_per_trial"),
    "cores without end": search("--cpus-per-trial", "inf", says="cpus_per_trial"),
    "more cores than there are": search("--cpus-per-trial", "4096", says="4096 is more than"),
    "GPUs below nothing": search("--gpus-per-trial", "-1", says="gpus_per_trial"),
    "GPUs where there are none": search("--gpus-per-trial", "1", says="gpus-per-trial: 1 is more"),
    "texts below nothing": search("--train-limit", "-5", says="train_limit"),
    "one text": search("--dev-limit", "1", says="dev_limit"),
    "a seed beyond all": search("--seed", str(2**64), says="--seed"),
    "trials beyond all": search("--trials", "9" * 30, says="trials"),
    "epochs beyond all": search("--epochs", "9" * 30, says="epochs"),
    "seeds beyond all": search("--seeds-per-trial", "9" * 30, says="seeds"),
    "a start from nowhere": search("--from", "nobody", says="study: 'nobody' is unknown here"),
    "a start from a path": search("--from", "../x", says="warm_start"),
    "a start from another space": search("--from", "done", "--space", "smoke", says="done"),
    "a hook without a program": Case(
        ("search", "--dataset", "planted", "--on-finish", ""), "on-finish: is empty"
    ),
    "a hook that is badly quoted": Case(
        ("search", "--dataset", "planted", "--on-finish", "say 'x"), "badly quoted"
    ),
    "a hook that is not there": Case(
        ("search", "--dataset", "planted", "--on-finish", "no-such-program x"),
        "'no-such-program' is no program that can be run",
    ),
    "a study with other settings": Case(
        ("search", *PLANTED, "--study", "done", "--epochs", "3"),
        "study: 'done' exists with other settings",
    ),
    "a study on other data": Case(
        ("search", *PLANTED, "--study", "done", "--space", "lambda"), "'done'"
    ),
    **{
        f"an unknown study to {command}": Case((command, "nobody", *more), "'nobody'")
        for command, *more in (
            ("pareto",),
            ("promote",),
            ("status",),
            ("stop",),
            ("clean", "--yes"),
            ("confirm",),
        )
    },
    "a study with a slash to pareto": Case(("pareto", "../x"), "study: '../x' is no name"),
    "a study of a page to status": Case(("status", "x" * 5000), "study: "),
    "a picture into a file": Case(
        ("pareto", "done", "--out", "x"), "--out", given=writes("x", "here")
    ),
    "a picture below a file": Case(
        ("pareto", "done", "--out", "x/y"), "out: x/y cannot be written", given=writes("x", "here")
    ),
    "a study that nobody runs to stop": Case(("stop", "done"), "study: 'done'"),
    "a wait that is no number": Case(("stop", "done", "--timeout", "nan"), "timeout"),
    "watching all at once": Case(("status", "--watch"), "watch: needs the name of one study"),
    "cleaning without asking": Case(("clean", "--json"), "yes: with --json nobody is asked"),
    "caches of one study": Case(("clean", "done", "--caches"), "caches: belong to no study"),
    "one seed to confirm": Case(("confirm", "done", "--seeds", "1"), "--seeds"),
    "a confirmation into a file": Case(
        ("confirm", "done", "--out", "x"), "out", given=writes("x", "here")
    ),
    "half a prefetch": Case(("datasets", "prefetch"), "datasets: say datasets prefetch NAME"),
    "another deed to data sets": Case(("datasets", "remove", "imdb"), "datasets: say"),
    "half a validation": Case(("spaces", "validate"), "spaces: say spaces validate FILE"),
    "another deed to spaces": Case(("spaces", "make", "x"), "spaces: say"),
    "a port beyond all": Case(("ui", "--port", "70000"), "port"),
    "a port of the system's": Case(("ui", "--port", "99999999999"), "port"),
    "no such table": Case(("reproduce", "table9"), "table9"),
    "a table of other data": Case(("reproduce", "table1", "--dataset", "planted"), "dataset: "),
    "an evaluation into a picture": Case(
        ("evaluate", "x", "--out", "x.png"), "out: x.png is no table", given=EMPTY
    ),
    "an evaluation into nowhere": Case(
        ("evaluate", "x", "--out", "no/x.csv"), "out: no is no folder", given=EMPTY
    ),
    "a retraining without more than all": Case(
        ("evaluate", "x", "--roar", "101"), "roar", given=EMPTY
    ),
    "a retraining without a number": Case(("evaluate", "x", "--roar", "nan"), "roar", given=EMPTY),
    "a text that begins like an option": Case(
        ("explain", "x", "-5 stars"),
        "No such option: -5; a text that begins with - comes after --, as in: -- '-5 stars'",
        given=EMPTY,
    ),
    "a text that is a number below nothing": Case(
        ("explain", "x", "-5"), "comes after --, as in: -- -5", given=EMPTY
    ),
    "an explanation over a file": Case(
        ("explain", "x", "a film", "--html", "x.html"),
        "html: x.html is there already; name another file, or add --force",
        given=all_of(EMPTY, writes("x.html", "mine")),
    ),
    "layers over a file": Case(
        ("explain", "x", "a film", "--png", "x.png", "--layers"),
        "png: x-layers.png is there already",
        given=all_of(EMPTY, writes("x-layers.png", "mine")),
    ),
}
TABLE = {**of_every_command(), **OURS}


@pytest.mark.parametrize("name", counted("flags", TABLE))
def test_it_is_one_sentence(name: str, refused: Callable[[Case], None]) -> None:
    refused(TABLE[name])


def test_every_command_has_its_rows() -> None:
    assert len(COMMANDS) >= 17
    for name in COMMANDS:
        assert sum(row.startswith(f"{name} ") for row in TABLE) >= 2
