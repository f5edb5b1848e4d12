"""``reproduce``: the paper's tables and figures from our own runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from safr_study.cli import options, output
from safr_study.cli.completion import complete_dataset
from safr_study.cli.options import corpus_spec, option, out_folder
from safr_study.cli.progress import Reporter
from safr_study.errors import StudyIncomplete
from safr_study.home import open_home

if TYPE_CHECKING:
    from safr_study.features.paper.rows import RunRequest
    from safr_study.home import Home


def reproduce(
    item: Annotated[
        Literal["table1", "table2", "table3", "table6", "figure3", "rationale"],
        typer.Argument(help="A table or figure of the paper, or rationale: do rankings find it?"),
    ],
    dataset: Annotated[
        str,
        option(
            "sst2-treebank (the paper's SST-2), imdb, or sst2 (unfiltered).",
            complete=complete_dataset,
            panel="Data",
        ),
    ] = "sst2-treebank",
    seeds: Annotated[int, option("Runs of each row, with seeds 0 .. N-1.", min=1)] = 3,
    row: Annotated[
        list[str] | None, option("This row alone, as 'safr(1, 0.1)'; may be given again.")
    ] = None,
    preset: options.Preset = "masked",
    epochs: options.Epochs = 100,
    train_limit: options.Limit = None,
    dev_limit: options.Limit = None,
    test_limit: options.Limit = None,
    results: Annotated[
        Path | None,
        option(
            "Folder of the finished runs; else results in the home.",
            file_okay=False,
            panel="Where things are",
        ),
    ] = None,
    out: Annotated[Path | None, out_folder("Folder for .md, .tex, .csv, .png and .svg.")] = None,
    part: Annotated[
        bool,
        option(
            "Measure the curve, Table 3 and the other rankings too, on 5,000 test texts with two "
            "random draws: for large test sets.",
            "--part",
        ),
    ] = False,
    max_concurrent: Annotated[int | None, option("Runs at once; else one per core.", min=1)] = None,
    address: options.Address = None,
    checkpoints: Annotated[
        str | None,
        option(
            "URL of an object store for the trained models; else the home.",
            panel="Where things are",
        ),
    ] = None,
    dry_run: Annotated[
        bool, option("List the runs that are missing; do none.", "--dry-run")
    ] = False,
    json: options.Json = False,
    home: options.Home = None,
) -> None:
    """Run what a table or figure of the paper lacks, and show ours beside the paper's.

    A finished run is a line under --results and is not paid for twice; an interrupted command goes
    on when it is given again. The test set is read for rows fixed beforehand, as in the paper.

    Examples:

      safr-study reproduce table1 --dataset sst2-treebank --seeds 5

      safr-study reproduce table6 --dataset imdb --dry-run

      safr-study reproduce table6 --row vmask --row 'safr(0.1, 0.1)'

      safr-study reproduce figure3 --results docs/results --out figures

      safr-study reproduce rationale --dataset sst2-treebank
    """
    from safr_study.features.paper.rows import RunRequest, item_rows

    # Asked first: a wrong name is said before any data is looked for.
    item_rows(item, dataset, row or ())
    spec = corpus_spec(dataset, train_limit=train_limit, dev_limit=dev_limit, test_limit=test_limit)
    at = open_home(home)
    request = RunRequest(
        item=item,
        spec=spec,
        seeds=seeds,
        preset=preset,
        results=(results or at.root / "results").expanduser(),
        epochs=epochs,
        workers=max_concurrent,
        only=tuple(row or ()),
        address=address,
        checkpoints_url=checkpoints,
        part=part,
    )
    if dry_run:
        _dry_run(request, at, as_json=json)
    else:
        _run(request, at, out, as_json=json)


def _dry_run(request: RunRequest, home: Home, *, as_json: bool) -> None:
    from safr_study.features.paper.runs import plan_runs
    from safr_study.records import to_plain

    plan = plan_runs(request, home)
    if as_json:
        runs = [
            {"key": run.key, **to_plain(run.row), "seed": run.config.seed} for run in plan.missing
        ]
        output.print_json(
            {
                "item": request.item,
                "dataset": request.spec.dataset,
                "preset": request.preset,
                "file": str(request.file),
                "wanted": len(plan.wanted),
                "missing": runs,
                "seconds": plan.seconds,
            }
        )
        return
    output.say(*plan.lines(), *(f"  {run.label}" for run in plan.missing))


def _run(request: RunRequest, home: Home, out: Path | None, *, as_json: bool) -> None:
    from safr_study.features.paper.numbers import reproduction_json
    from safr_study.features.paper.output import write_item
    from safr_study.features.paper.runs import reproduce as run
    from safr_study.features.paper.view import paper_page

    result = run(request, home, say=Reporter(output.err()).say)
    written = write_item(result, out) if out is not None else []
    if as_json:
        output.print_json({**reproduction_json(result), "written": written})
    else:
        output.show_page(paper_page(result, wide=False))
        output.wrote(written)
    if result.failures:
        raise StudyIncomplete(
            f"{len(result.failures)} of {result.runs + len(result.failures)} runs failed "
            f"({result.failures[0]}); the same command tries them again"
        )
