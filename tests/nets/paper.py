"""The paper's tables from the committed runs, without the data that they were trained on.

A run belongs to a table by the key of its training and the fingerprint of its texts. The data are
not in the repository: so a stand-in of some texts has their name, and the lines get the keys and
the fingerprint that the stand-in gives. These are frozen too, in ``keys.json``: code that computes
other keys would retrain everything that is finished.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nets.cases import masked, run

RESULTS = Path(__file__).parents[2] / "docs" / "results"
TABLES = RESULTS / "tables"
KEYS = Path(__file__).parent / "frozen" / "keys.json"
SHOWN = Path(__file__).parent / "frozen" / "reproduce"
FILES = ("sst2-treebank-masked", "sst2-treebank-reference", "imdb-masked")
TREEBANK = ("--dataset", "sst2-treebank")
IMDB = (
    *("--dataset", "imdb", "--train-limit", "5000", "--dev-limit", "1000"),
    *("--test-limit", "2000", "--epochs", "5"),
)
REFERENCE = ("--preset", "reference")
COMMANDS = {
    "figure3-sst2-treebank-masked": ("figure3", "--seeds", "5", *TREEBANK),
    "table1-sst2-treebank-masked": ("table1", "--seeds", "5", *TREEBANK),
    "table3-sst2-treebank-masked": ("table3", "--seeds", "5", *TREEBANK),
    "rationale-sst2-treebank-masked": ("rationale", "--seeds", "5", *TREEBANK),
    "table2-sst2-treebank-masked": ("table2", "--seeds", "3", *TREEBANK),
    "table6-sst2-treebank-masked": ("table6", "--seeds", "3", *TREEBANK),
    "table3-sst2-treebank-reference": ("table3", "--seeds", "1", *REFERENCE, *TREEBANK),
    "table1-sst2-treebank-reference": ("table1", "--seeds", "1", *REFERENCE, *TREEBANK),
    "table1-imdb-masked": ("table1", "--seeds", "1", *IMDB),
}
"""What makes each of the committed tables, as the Makefile says it."""


def write_stand_in(folder: Path) -> None:
    """Some texts under the names of the two data sets, for ``SAFR_STUDY_DATA``."""
    for dataset, splits in {
        "sst2-treebank": {"train": 20, "validation": 10, "test": 10},
        "imdb": {"train": 40, "test": 20},
    }.items():
        (folder / dataset).mkdir(parents=True)
        for split, texts in splits.items():
            rows = [f"{'good' if i % 2 else 'bad'} film {i % 3},{i % 2}" for i in range(texts)]
            text = "\n".join(["text,label", *rows]) + "\n"
            (folder / dataset / f"{split}.csv").write_text(text, "utf-8")


def write_lines(folder: Path, keys: Mapping[str, Any]) -> None:
    """The committed runs as if they were of the stand-in.

    Args:
        folder: an empty one.
        keys: of `KEYS`.
    """
    for name in FILES:
        lines = [json.loads(line) for line in _lines(name)]
        for line in lines:
            line["corpus"] = keys["corpus"][name.rpartition("-")[0]]
            line["key"] = keys["key"][line["key"]]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text, "utf-8")


def shown(name: str, results: Path, home: Path, out: Path | None = None) -> dict[str, str]:
    """Make one of the committed tables anew, without any training.

    Args:
        name: of its files.
        results: the folder of the lines.
        home: of the command.
        out: a folder for its files.

    Returns:
        What is shown as text and as a document, by the names of frozen files.
    """
    command = ("reproduce", *COMMANDS[name], *_at(results, home))
    # A run that is missing would be trained.
    plan = _checked(*command, "--dry-run", "--json")
    assert json.loads(plan)["missing"] == []
    files = () if out is None else ("--out", str(out))
    return {
        f"{name}.txt": _checked(*command, *files),
        f"{name}.json": masked(_checked(*command, "--json"), {}, f"{name}.json"),
    }


def stand_in_keys(results: Path, home: Path) -> dict[str, Any]:
    """The keys that the stand-in gives the committed runs, for a frozen file.

    Args:
        results: an empty folder.
        home: any.
    """
    from safr_study.data import encoded_corpus
    from safr_study.settings import CorpusSpec

    limits = {"train_limit": 5000, "dev_limit": 1000, "test_limit": 2000}
    specs = {"sst2-treebank": {}, "imdb": limits}
    corpora = {
        name: encoded_corpus(CorpusSpec.parse({"dataset": name, **more})).fingerprint
        for name, more in specs.items()
    }
    wanted = {}
    for name, command in COMMANDS.items():
        plan = _checked("reproduce", *command, *_at(results, home), "--dry-run", "--json")
        file = name.partition("-")[2]
        for missing in json.loads(plan)["missing"]:
            wanted[file, *_row(missing)] = missing["key"]
    lines = {name: [json.loads(line) for line in _lines(name)] for name in FILES}
    return {
        "corpus": corpora,
        "key": {
            line["key"]: wanted.get((name, *_row(line)), "0" * 16)
            for name, found in lines.items()
            for line in found
        },
    }


def _checked(*words: str) -> str:
    ran = run(*words)
    assert ran.code == 0, ran.err
    return ran.out


def _at(results: Path, home: Path) -> tuple[str, ...]:
    return ("--results", str(results), "--home", str(home))


def _row(run: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(run[key] for key in ("vmask", "lambda_imp", "lambda_inter", "seed"))


def _lines(name: str) -> list[str]:
    return (RESULTS / f"{name}.jsonl").read_text("utf-8").splitlines()
