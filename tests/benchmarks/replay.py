"""Replay the searches over the table, and write what they took.

    PYTHONPATH=tests python -m benchmarks.replay --help

``--target honest`` asks for settings that are good on average (``honest.py``), ``best`` for the
luckiest rows; ``--rows`` takes some seeds of the table alone. The searches are the real ones:
sampler, ledger, searcher and MO-ASHA. Only the trainings are looked up, so that hundreds of studies
take minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.curves import MeanTable, Table, settings_of
from benchmarks.honest import SomeSeeds, need_seeds
from benchmarks.kept import code, keep_search, kept_searches
from benchmarks.searches import (
    ALL_METHODS,
    ARRIVAL,
    METHODS,
    WITHIN,
    Method,
    Search,
    Setup,
    replay,
)
from benchmarks.summary import markdown, summarise
from benchmarks.synthetic import SyntheticTable
from benchmarks.table_lines import FileTable, read_lines
from benchmarks.written import AT, write_results
from safr_study.errors import SafrError
from safr_study.records import to_plain
from safr_study.settings import SchedulerConfig, TrainConfig, fingerprint_of
from safr_study.settings.space_files import find_space

_LOG = logging.getLogger("replay")


def replay_all(
    table: Table,
    methods: Sequence[Method],
    seeds: int,
    setup: Setup,
    *,
    processes: int = 1,
    kept: Path | None = None,
) -> list[Search]:
    """All methods under the same seeds.

    Args:
        table: of the trainings.
        methods: to compare.
        seeds: of each.
        setup: of all.
        processes: at once.
        kept: file of finished searches, a line each; those in it are not run again.
    """
    asked = [(method, seed) for method in methods for seed in range(seeds)]
    key = _key(table, setup)
    done = kept_searches(kept, key) if kept is not None else {}
    left = [(method, seed) for method, seed in asked if (method.key, seed) not in done]
    one = partial(_one, table, setup)
    context = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        found = (
            map(one, left)
            if processes == 1
            else stack.enter_context(ProcessPoolExecutor(processes, mp_context=context)).map(
                one, left
            )
        )
        for search in found:
            _LOG.info(f"{search.method}, seed {search.seed}: {search.epochs} epochs")
            done[search.method, search.seed] = search
            if kept is not None:
                keep_search(kept, key, search)
    return [done[method.key, seed] for method, seed in asked]


def _one(table: Table, setup: Setup, asked: tuple[Method, int]) -> Search:
    return replay(table, *asked, setup)


def _key(table: Table, setup: Setup) -> str:
    """Of everything that decides a search but method and seed, the sources too."""
    curves = [
        to_plain(table.curve(pair, s)) for pair in settings_of(table) for s in range(table.seeds)
    ]
    return fingerprint_of(
        [
            [table.name, list(table.levels), list(table.reference), curves],
            [setup.space.model_dump(mode="json"), setup.train.model_dump(mode="json")],
            [setup.scheduler.model_dump(mode="json"), setup.workers, setup.rule],
            [setup.cap, setup.horizon, setup.target],
            code("sampling", "ledger", "runner", "pareto", "settings"),
        ]
    )


def about(table: Table, setup: Setup) -> str:
    """What a page says of a replay."""
    seeds = f"the table's {table.seeds} seeds"
    if setup.target == "honest":
        row = (
            f"the mean over {seeds} and the residual curve of a row of the whole table, drawn by"
            " (seed of the search, number of the trial)"
        )
    elif setup.rule == "trial":
        row = (
            f"drawn from {seeds} by (seed of the search, number of the trial); the best is that of"
            " the rows of all seeds"
        )
    else:
        row = f"that of one of {seeds} for a whole search; the best is that of this seed's rows"
    return f"""Trainings are looked up in the table {table.name}: {len(table.levels)} x
{len(table.levels)} pairs of lambdas and the model without VMASK, {table.seeds} seeds,
{setup.train.epochs} epochs (patience {setup.train.patience}). All else is real: samplers draw from
the space `{setup.space.name}`, the lambdas drawn are put to the nearest level, and MO-ASHA sees
the values of its rungs and stops trials; {setup.workers} trials run at once. A trial's row is
{row}.

A search has arrived when {ARRIVAL[setup.target]} is {WITHIN:.0%} of the best."""


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="replay", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--table", type=Path, help="lines of lambda_table; else a synthetic one")
    parser.add_argument("--out", type=Path, help="common path of the results, without a suffix")
    parser.add_argument("--searches", type=int, default=30, help="seeds of each method")
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=[method.key for method in ALL_METHODS],
        default=[method.key for method in METHODS],
    )
    parser.add_argument("--epochs", type=int, help="of a full training; at most the table's")
    parser.add_argument("--patience", type=int, help="of early stopping; without: none")
    parser.add_argument("--rule", choices=("trial", "study", "mean"), default="trial")
    parser.add_argument("--target", choices=("best", "honest"), default="best")
    parser.add_argument("--rows", type=int, nargs="+", help="seeds of the table; without: all")
    parser.add_argument("--workers", type=int, default=2, help="trials at once")
    parser.add_argument("--cap", type=int, default=192, help="full trainings until it is given up")
    parser.add_argument("--horizon", type=int, default=64, help="full trainings of the picture")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--kept", type=Path, default=Path(".safr-study") / "replays.jsonl")
    for name, field in SchedulerConfig.model_fields.items():
        if name != "name":
            flag = "--" + name.replace("_", "-")
            parser.add_argument(flag, type=type(field.default), default=field.default)
    return parser.parse_args(given)


def setup_of(args: argparse.Namespace, table: Table) -> Setup:
    """What the command line asks for."""
    epochs = args.epochs or table.epochs
    names = [name for name in SchedulerConfig.model_fields if name != "name"]
    return Setup(
        space=find_space("lambda"),
        train=TrainConfig(epochs=epochs, patience=args.patience or epochs),
        scheduler=SchedulerConfig(**{name: getattr(args, name) for name in names}),
        workers=args.workers,
        rule="study" if args.rule == "mean" else args.rule,
        target=args.target,
        cap=args.cap,
        horizon=args.horizon,
    )


def main(given: Sequence[str] | None = None) -> int:
    """Replay and write; 2 where the table cannot be used."""
    args = _arguments(given)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        table: Table = SyntheticTable()
        if args.table is not None:
            table = FileTable.of(args.table.stem, read_lines(args.table), texts=args.texts)
        if args.rows is not None:
            table = SomeSeeds(table, tuple(args.rows))
        if args.rule == "mean":
            table = MeanTable(table)
        if args.target == "honest":
            need_seeds(table)
        setup = setup_of(args, table)
    except SafrError as error:
        _LOG.error(f"error: {error}")
        return 2
    methods = [m for m in ALL_METHODS if m.key in args.methods]
    searches = replay_all(
        table, methods, args.searches, setup, processes=args.processes, kept=args.kept
    )
    epochs = setup.train.epochs
    sys.stdout.write(markdown(summarise(searches, at=AT * epochs)))
    if args.out is not None:
        write_results(
            searches,
            out=args.out,
            title=f"Epochs to 95 % of the {setup.target} front: {table.name}",
            about=about(table, setup),
            scheduler=setup.scheduler,
            epochs=epochs,
            until=max(args.horizon, AT),
            facts=_facts(table, setup),
        )
    return 0


def _facts(table: Table, setup: Setup) -> dict[str, object]:
    return {
        "table": table.name,
        "levels": list(table.levels),
        "seeds": table.seeds,
        "reference": list(table.reference),
        "space": setup.space.name,
        "patience": setup.train.patience,
        "workers": setup.workers,
        "rule": setup.rule,
        "target": setup.target,
    }


if __name__ == "__main__":
    sys.exit(main())
