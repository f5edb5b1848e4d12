"""``datasets``, ``spaces``, ``metrics`` and ``ui``: what there is to choose from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Annotated

import typer

from safr_study.cli import options, output
from safr_study.cli.completion import complete_dataset, complete_space
from safr_study.cli.options import corpus_spec, option
from safr_study.errors import BadInput
from safr_study.features.study_base.stores import open_stores
from safr_study.render.text_table import TextTable
from safr_study.settings.constraints import Constraint
from safr_study.text import unit_words


def datasets(
    action: Annotated[
        str | None, typer.Argument(help="prefetch: read and encode a data set now.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Argument(help="Which one, with prefetch.", autocompletion=complete_dataset),
    ] = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    group_column: options.GroupColumn = None,
    json: options.Json = False,
    home: options.Home = None,
) -> None:
    """List the known data sets, or prefetch one.

    Examples:

      safr-study datasets

      safr-study datasets prefetch imdb
    """
    from safr_study.data import describe, encoded_corpus, known_datasets, word_defaults

    if action is None:
        known = known_datasets()
        if json:
            names = ("name", "description", "where")
            output.print_json({"datasets": [dict(zip(names, row, strict=True)) for row in known]})
            return
        columns = ("data set", "what it is", "where it comes from")
        output.show(TextTable("", columns, known))
        output.out().print(
            "Besides: any hub id, or a path to CSV, JSON lines, Parquet or a folder."
        )
        return
    if action != "prefetch" or dataset is None:
        raise BadInput("datasets", "say datasets prefetch NAME, or nothing to list them")
    spec = corpus_spec(
        dataset, text_column=text_column, label_column=label_column, group_column=group_column
    )
    spec = spec.model_copy(update=word_defaults(spec.dataset))
    corpus = encoded_corpus(spec, open_stores(home).home.corpora)
    if json:
        output.print_json(
            {
                "name": corpus.name,
                "fingerprint": corpus.fingerprint,
                "counts": dict(corpus.counts),
                "warnings": [concern.sentence for concern in corpus.concerns],
            }
        )
    else:
        output.out().print(describe(corpus))
    for concern in corpus.concerns:
        output.warn(concern.sentence)


def spaces(
    action: Annotated[str | None, typer.Argument(help="validate: check a space.")] = None,
    space: Annotated[
        str | None,
        typer.Argument(help="Its file or name, with validate.", autocompletion=complete_space),
    ] = None,
    json: options.Json = False,
) -> None:
    """List the search spaces that come with safr-study, or check a file.

    Examples:

      safr-study spaces

      safr-study spaces validate my-space.yaml
    """
    from safr_study.settings.space_files import built_in_spaces, find_space

    if action is None:
        built_in = [find_space(name) for name in built_in_spaces()]
        if json:
            output.print_json({"spaces": built_in})
            return
        rows = [
            (known.name, ", ".join(known.parameters), _texts(known.constraints), known.description)
            for known in built_in
        ]
        output.show(TextTable("", ("space", "varies", "constraints", "what it is for"), rows))
        return
    if action != "validate" or space is None:
        raise BadInput("spaces", "say spaces validate FILE, or nothing to list them")
    checked = find_space(space)
    if json:
        output.print_json(checked)
    else:
        counts = [f"{len(checked.parameters)} parameters ({', '.join(checked.parameters)})"]
        if checked.points:
            counts.append(f"{len(checked.points)} points for the grid")
        if checked.constraints:
            counts.append(f"constraints ({_texts(checked.constraints)})")
        counts.append(f"{len(checked.baselines)} baselines")
        output.out().print(f"{space} is valid: {', '.join(counts)}.")


def _texts(constraints: Iterable[Constraint]) -> str:
    return ", ".join(constraint.text for constraint in constraints)


def metrics(json: options.Json = False) -> None:
    """List the metrics: what a study can optimise, with unit and direction.

    Example:

      safr-study metrics
    """
    from safr_study.settings import AT_K, LAYERS, OF_LAYER, OF_MODEL

    groups = {"": OF_MODEL, "@K": AT_K, ".LAYER": OF_LAYER}
    metrics = [
        (f"{name}{suffix}", metric)
        for suffix, group in groups.items()
        for name, metric in group.items()
    ]
    rows = [(name, one.label, one.unit, one.direction) for name, one in metrics]
    if json:
        names = ("name", "label", "unit", "better")
        document = [dict(zip(names, row, strict=True)) for row in rows]
        output.print_json({"metrics": document, "layers": LAYERS})
        return
    cells = [
        (name, label, unit_words(unit, share="0 to 1"), better)
        for name, label, unit, better in rows
    ]
    output.show(TextTable("Metrics", ("objective", "what", "unit", "better"), cells))
    output.out().print(
        "K: percent of the tokens deleted, for example srs@30. LAYER: one of "
        f"{', '.join(LAYERS)}, for example mean_capacity.ffn1_pre."
    )


def ui(
    port: Annotated[int, option("Port on 127.0.0.1.", min=1)] = 5000,
    home: options.Home = None,
    tracking_uri: options.Tracking = None,
) -> None:
    """Open the MLflow page on this home, on this machine alone; Ctrl-C ends it.

    Example:

      safr-study ui --port 5001
    """
    from safr_study.features.models import browse_runs

    def say(url: str, pages: Mapping[str, str]) -> None:
        output.hint(*(f"{name}: {page}" for name, page in pages.items()))
        output.hint(f"MLflow is at {url} (Ctrl-C ends it)")

    # Ctrl-C is how it is meant to end.
    with contextlib.suppress(KeyboardInterrupt):
        browse_runs(open_stores(home, tracking_uri=tracking_uri), port, say)
