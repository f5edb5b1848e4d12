"""``models``, ``promote``, ``pull`` and ``evaluate``: the registry, and one model's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from safr_study.cli import output
from safr_study.cli.options import (
    HomeOption,
    JsonOption,
    LabelColumnOption,
    StorageOption,
    StudyArgument,
    TextColumnOption,
    TrackingOption,
    corpus_spec,
    open_stores,
)

if TYPE_CHECKING:
    from safr_study.workflows.evaluate import Evaluation


def list_models(
    json: JsonOption = False, home: HomeOption = None, tracking_uri: TrackingOption = None
) -> None:
    """List the registered models, their versions and aliases.

    Example:

      safr-study models
    """
    from safr_study.records import to_plain
    from safr_study.workflows.models import registered_models

    models = registered_models(open_stores(home, tracking_uri=tracking_uri))
    if json:
        output.print_json({"models": to_plain(models)})
    elif models:
        output.out().print(output.models_table(models))
    else:
        output.out().print("No model yet; a finished search registers its front.")


def promote(
    study: StudyArgument,
    json: JsonOption = False,
    home: HomeOption = None,
    tracking_uri: TrackingOption = None,
    storage: StorageOption = None,
) -> None:
    """Register a study's front and move knee, best-accuracy and best-srs to it.

    Example:

      safr-study promote s1
    """
    from safr_study.records import to_plain
    from safr_study.workflows.models import promote_study

    stores = open_stores(home, tracking_uri=tracking_uri, storage=storage)
    models = promote_study(study, stores)
    if json:
        output.print_json({"models": to_plain(models)})
    else:
        output.out().print(output.models_table(models))


def pull(
    model: Annotated[
        str, typer.Argument(help="NAME, NAME@alias or NAME/version.", metavar="MODEL")
    ],
    to: Annotated[Path, typer.Option("--to", help="A new or empty folder.", file_okay=False)],
    json: JsonOption = False,
    home: HomeOption = None,
    tracking_uri: TrackingOption = None,
) -> None:
    """Download a registered model, its checksums verified.

    Examples:

      safr-study pull safr-sst2@knee --to model

      safr-study pull safr-sst2/3 --to model
    """
    from safr_study.workflows.models import pull_model

    folder = pull_model(model, to, open_stores(home, tracking_uri=tracking_uri))
    if json:
        output.print_json({"model": model, "folder": str(folder)})
        return
    output.out().print(f"{model} is in {folder}")
    output.err().print(f"next: safr-study evaluate {folder}")


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A pulled model's folder, or models:/NAME@alias.", metavar="MODEL")
    ],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Data set or path; else the one it was trained on."),
    ] = None,
    split: Annotated[
        Literal["dev", "test"], typer.Option("--split", help="Which texts to measure on.")
    ] = "dev",
    text_column: TextColumnOption = None,
    label_column: LabelColumnOption = None,
    json: JsonOption = False,
    home: HomeOption = None,
    tracking_uri: TrackingOption = None,
) -> None:
    """Measure one model: accuracy, and what deleting its top tokens does at every k.

    Examples:

      safr-study evaluate model --dataset sst2 --split dev

      safr-study evaluate models:/safr-sst2@knee --split test
    """
    from safr_study.records import to_plain
    from safr_study.workflows.evaluate import evaluate as run

    spec = None
    if dataset is not None:
        spec = corpus_spec(dataset, text_column=text_column, label_column=label_column)
    measured = run(model, spec, open_stores(home, tracking_uri=tracking_uri), split=split)
    if json:
        output.print_json(to_plain(measured))
    else:
        _show(measured)


def _show(measured: Evaluation) -> None:
    scores = measured.scores
    console = output.out()
    console.print(
        f"{measured.model} on {measured.dataset}, {scores.split} ({scores.examples:,} texts, "
        f"preset {measured.preset})"
    )
    console.print(
        f"accuracy {scores.accuracy:.2f} ± {scores.accuracy_se:.2f} (standard error, one run), "
        f"majority class {scores.majority_accuracy:.2f}, cross-entropy {scores.loss:.4f}"
    )
    table = output.table(
        [">k %", ">deleted %", ">acc. top", ">acc. random", ">SRS", ">excess", "note"],
        title=f"Deletion (remove) by capacity at {measured.capacity_layer}, {measured.draws} "
        "random draws; percentage points",
    )
    for deletion in scores.deletions:
        excess, excess_se = deletion.srs_excess, deletion.srs_excess_se
        table.add_row(
            f"{100 * deletion.k:g}",
            f"{100 * deletion.realised_share:.1f}",
            f"{deletion.accuracy_top:.2f}",
            "" if deletion.accuracy_random is None else f"{deletion.accuracy_random:.2f}",
            f"{deletion.srs:.2f} ± {deletion.srs_se:.2f}",
            "" if excess is None or excess_se is None else f"{excess:.2f} ± {excess_se:.2f}",
            "saturated" if deletion.saturated else "",
        )
    console.print(table)
    console.print(
        "SRS(k): accuracy lost without the top k % of the tokens, higher = they mattered more; "
        "excess: beyond a random deletion of the same size."
    )
