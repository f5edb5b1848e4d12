"""``evaluate``: the numbers of one model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from safr_study.cli import options, output
from safr_study.cli.completion import complete_dataset
from safr_study.cli.options import corpus_spec, option
from safr_study.cli.progress import Reporter
from safr_study.features.study_base.stores import check_model, open_stores
from safr_study.records.metric_values import (
    MeasuredMetric,
    measured_metrics,
    other_rankings,
    write_metrics,
)
from safr_study.records.scores import Scores, Values, is_saturated, shares_of
from safr_study.render.cause_tables import cause_tables
from safr_study.render.class_tables import class_table
from safr_study.render.format import with_se
from safr_study.render.masked_tables import masked_table
from safr_study.render.text_table import TextTable
from safr_study.settings import POINTS, at_k
from safr_study.settings.metrics import OF_CLASSES, OF_MODEL, OF_RATIONALE
from safr_study.text import unit_words

if TYPE_CHECKING:
    from safr_study.features.evaluate import Evaluation
    from safr_study.features.masked_training import MaskedStep
    from safr_study.features.roar import RoarStep


def evaluate(
    model: options.Model,
    dataset: Annotated[
        str | None,
        option("Data set or path; else the one it was trained on.", complete=complete_dataset),
    ] = None,
    split: Annotated[Literal["dev", "test"], option("Which texts to measure on.")] = "dev",
    mode: Annotated[
        Literal["remove", "unk", "attn", "gate"] | None,
        option("How tokens are deleted; else as the model's study did."),
    ] = None,
    delete: options.Delete = None,
    capacity_layer: options.CapacityLayer = None,
    quick: Annotated[
        bool, option("Without leave-one-out, other rankings, the layers and causes.", "--quick")
    ] = False,
    out: Annotated[Path | None, option("Write every metric to FILE.csv or FILE.json too.")] = None,
    roar: Annotated[
        list[float] | None,
        option(
            "Retrain without the top K % of the tokens, and without K % at random; repeat.",
            metavar="K",
        ),
    ] = None,
    roar_seeds: Annotated[
        int, option("Retrain with seeds 0 .. N-1; 1: the model's own.", min=1)
    ] = 1,
    masked_training: Annotated[
        bool,
        option("Train on with random deletions; rankings by that model too.", "--masked-training"),
    ] = False,
    masked_epochs: Annotated[int, option("Epochs of the masked training.")] = 3,
    masked_most: Annotated[
        float, option("Most words that a deletion in it takes, in percent.", metavar="PERCENT")
    ] = 70.0,
    masked_seeds: Annotated[
        int, option("Masked trainings with seeds 0 .. N-1; 1: the model's own.")
    ] = 1,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    group_column: options.GroupColumn = None,
    json: options.Json = False,
    home: options.Home = None,
    tracking_uri: options.Tracking = None,
    storage: options.Storage = None,
) -> None:
    """Measure one model: every metric, each with its direction, unit and deletion mode.

    Examples:

      safr-study evaluate model --dataset sst2 --split dev

      safr-study evaluate models:/safr-sst2@knee --split test --out knee.csv

      safr-study evaluate model --quick --roar 30 --roar-seeds 5

      safr-study evaluate model --quick --masked-training --masked-seeds 3
    """
    plan = None
    if roar or roar_seeds > 1:
        from safr_study.features.roar import plan_roar

        plan = plan_roar(roar or (), roar_seeds)
    masked = None
    if masked_training or (masked_epochs, masked_most, masked_seeds) != (3, 70.0, 1):
        from safr_study.features.masked_training import plan_masked

        masked = plan_masked(masked_epochs, masked_most, masked_seeds, asked=masked_training)
    stores = open_stores(home, tracking_uri=tracking_uri, storage=storage, reads=True)
    check_model(model, stores)
    hint = "" if quick else "; --quick leaves out the slow half"
    with Reporter(output.err()) as progress:
        progress.doing(f"loading {model}")
        from safr_study.features.evaluate import evaluate as run
        from safr_study.features.roar import roar_metrics
        from safr_study.features.study_base.results import check_file
        from safr_study.records import to_plain
        from safr_study.records.masked import masked_metrics

        if out is not None:
            check_file("out", out, (".csv", ".json"), "is no table; end it in .csv or .json")
        spec = None
        if dataset is not None:
            spec = corpus_spec(
                dataset,
                text_column=text_column,
                label_column=label_column,
                group_column=group_column,
            )

        def on_roar(step: RoarStep) -> None:
            progress.say(_roar_sentence(step), rarely=step.report is not None)

        def on_masked(step: MaskedStep) -> None:
            what = f"masked training {step.training} of {step.trainings}, seed {step.seed}"
            progress.say(f"{what}: {_done(step)}", rarely=step.report is not None)

        measured = run(
            model,
            spec,
            stores,
            split=split,
            mode=mode,
            delete=delete,
            capacity_layer=capacity_layer,
            quick=quick,
            roar=plan,
            on_begin=lambda texts: progress.say(f"measuring {texts:,} texts{hint}"),
            on_part=lambda part: progress.doing(part, lines=True),
            masked=masked,
            on_roar=on_roar,
            on_masked=on_masked,
        )
    retrained = roar_metrics(measured.roar)
    if measured.masked is not None:
        retrained += masked_metrics(measured.masked, measured.mode)
    if out is not None:
        write_metrics(measured.scores, out, retrained)
    if json:
        metrics = to_plain(
            [*measured_metrics(measured.scores), *other_rankings(measured.scores), *retrained]
        )
        output.print_json({**to_plain(measured), "metrics": metrics})
    else:
        _show(measured)
    if out is not None:
        output.err().print(f"all metrics are in {out}")


def _done(step: RoarStep | MaskedStep) -> str:
    report = step.report
    if report is None:
        return f"at most {step.epochs} epochs"
    return (
        f"epoch {report.epoch} of at most {step.epochs}, dev accuracy "
        f"{report.dev_accuracy:.2f}, {report.seconds:.1f} s"
    )


def _roar_sentence(step: RoarStep) -> str:
    removed = "the top" if step.removed == "top" else "random tokens"
    return (
        f"ROAR({100 * step.k:g}), training {step.training} of {step.trainings}: without "
        f"{removed}, seed {step.seed}: {_done(step)}"
    )


def _show(measured: Evaluation) -> None:
    scores = measured.scores
    openness = scores.value("gate_openness")
    console = output.out()
    console.print(
        f"{measured.model} on {measured.dataset}, {scores.split} ({scores.examples:,} texts, "
        f"preset {measured.preset})"
    )
    console.print(
        f"accuracy {_measure(scores.values, 'accuracy')}, majority class "
        f"{scores.value('majority_accuracy'):.2f} (percentage points); "
        f"cross-entropy {scores.value('log_loss'):.4f} nats"
        + ("" if openness is None else f"; gate openness {openness:.3f}")
    )
    console.print(
        "± is the standard error of one run, from its texts; ↑ higher, ↓ lower is better."
    )
    output.show(*_tables(measured))
    console.print(
        "SRS: accuracy lost without the top k %; excess: beyond a random deletion of the same "
        "size; contrast: beyond deleting the bottom k %."
    )
    if scores.saturated:
        console.print(
            "Saturated: without the top tokens nearly every prediction is one class, so SRS "
            "shows a collapsed prediction, not a good ranking."
        )
    if measured.roar:
        console.print(
            "ROAR: accuracy of a model trained anew on texts without random tokens, minus that of "
            "one trained on texts without as many top tokens."
        )
    if measured.masked is not None:
        console.print(
            "After: the same rankings, judged by the model as trained further; it knows shortened "
            "texts, so a fall is not due to their being odd."
        )


def _tables(measured: Evaluation) -> list[TextTable]:
    """All the tables of an evaluation, in the order of reading."""
    scores = measured.scores
    by = f"by capacity at {measured.capacity_layer}, mode {measured.mode}"
    tables = [
        _listed(
            "Quality of the classes",
            [one for one in measured_metrics(scores) if one.name in (*OF_CLASSES, "consistency")],
            decimals=4,
        ),
        class_table(scores, measured.class_names, "Predictions by class; points"),
        _deletion_table(
            scores, f"Accuracy after deletion {by}, {measured.draws} random draws; points"
        ),
        _faithfulness_table(scores, f"Faithfulness {by}; points, log-odds in nats"),
    ]
    if scores.has("srs_auc") or scores.has("kendall_tau"):
        tables.append(_summary_table(measured))
    if any(shares_of(values) for values in scores.rankings.values()):
        tables.append(_rankings_table(scores, measured.mode))
    if scores.has("rationale_texts"):
        tables.append(_agreement_table(scores))
    tables += [*cause_tables(scores), *_layer_tables(scores)]
    if measured.masked is not None:
        tables.append(masked_table(measured.masked))
    if measured.roar:
        tables.append(_roar_table(measured))
    return tables


def _deletion_table(scores: Scores, title: str) -> TextTable:
    values = scores.values
    rows = [
        (
            _share(values, k),
            f"{100 * values[at_k('realised_share', k)].value:.1f}",
            _number(scores.value(at_k("accuracy_top", k))),
            _number(scores.value(at_k("accuracy_random", k))),
            _number(scores.value(at_k("accuracy_bottom", k))),
            _measure(values, at_k("srs", k)),
            "" if (p := scores.value(at_k("mcnemar_p", k))) is None else f"{p:.1g}",
            _measure(values, at_k("srs_excess", k)),
            _measure(values, at_k("contrast", k)),
            _number(scores.value(at_k("headroom", k))),
        )
        for k in scores.shares
    ]
    columns = (">k %", ">deleted %", ">top ↓", ">random", ">bottom ↑", ">SRS ↑", ">p", ">excess ↑",
               ">contrast ↑", ">headroom ↑")  # fmt: skip
    return TextTable(title, columns, rows, caption="* saturated" if scores.saturated else "")


def _faithfulness_table(scores: Scores, title: str) -> TextTable:
    rows = [
        (
            _share(scores.values, k),
            _measure(scores.values, at_k("comprehensiveness", k)),
            _measure(scores.values, at_k("sufficiency", k)),
            _number(scores.value(at_k("log_odds", k)), 3),
            _number(scores.value(at_k("flip_rate", k))),
        )
        for k in scores.shares
    ]
    columns = (">k %", ">comprehensiveness ↑", ">sufficiency ↓", ">log-odds ↓", ">flip rate ↑")
    return TextTable(title, columns, rows)


def _share(values: Values, k: float) -> str:
    return f"{100 * k:g}" + ("*" if is_saturated(values, k) else "")


def _measure(values: Values, name: str, decimals: int = 2) -> str:
    measure = values.get(name)
    return "" if measure is None else with_se(measure.value, measure.se, decimals)


def _summary_table(measured: Evaluation) -> TextTable:
    found = measured_metrics(measured.scores)
    over_k = [one for one in found if one.mode and "@" not in one.name]
    return _listed(f"Over all k, mode {measured.mode}", over_k)


def _listed(title: str, found: Sequence[MeasuredMetric], decimals: int = 2) -> TextTable:
    rows = [
        (
            one.label,
            # Hundredths of a percentage point are enough.
            with_se(one.value, one.se, 2 if one.unit == POINTS else decimals),
            unit_words(one.unit, share="0 to 1"),
            one.direction,
        )
        for one in found
    ]
    return TextTable(title, ("metric", ">value", "unit", "better"), rows)


def _rankings_table(scores: Scores, mode: str) -> TextTable:
    controls = {name: values for name, values in scores.rankings.items() if shares_of(values)}
    shares = shares_of(next(iter(controls.values())))
    columns = [
        column for k in shares for column in (f">SRS({100 * k:g}) ↑", f">compr.({100 * k:g}) ↑")
    ]
    rows = [
        (name.replace("_", " "), *(cell for k in shares for cell in _cells(values, k)))
        for name, values in {"capacity": scores.values, **controls}.items()
    ]
    title = f"Capacity against other rankings, mode {mode}; points"
    return TextTable(title, ("ranking", *columns), rows)


def _cells(values: Values, k: float) -> tuple[str, str]:
    srs = _measure(values, at_k("srs", k)) + ("*" if is_saturated(values, k) else "")
    return srs, _measure(values, at_k("comprehensiveness", k))


def _agreement_table(scores: Scores) -> TextTable:
    rows = [
        (name.replace("_", " "), *(_measure(values, metric, 3) for metric in OF_RATIONALE))
        for name, values in {"capacity": scores.values, **scores.rankings}.items()
        if "rationale_texts" in values
    ]
    texts = scores.values["rationale_texts"].value
    return TextTable(
        f"Agreement with the gold rationale, {texts:,} texts; 0 to 1",
        ("ranking", *(f">{OF_MODEL[metric].label} ↑" for metric in OF_RATIONALE)),
        rows,
    )


def _layer_tables(scores: Scores) -> list[TextTable]:
    """One for each block; the first has the layers before it too."""
    from safr_study.settings import OF_LAYER

    blocks = sorted({layer.block for layer in scores.superposition})
    tables = []
    for block in blocks:
        layers = [layer for layer in scores.superposition if layer.block == block]
        which = f", block {block + 1} of {len(blocks)}" if len(blocks) > 1 else ""
        rows = [
            (
                f"{metric.label} {'↑' if metric.maximise else '↓'}",
                *(_number(getattr(layer, name), 3) for layer in layers),
            )
            for name, metric in OF_LAYER.items()
        ]
        columns = ("", *(f">{layer.layer}" for layer in layers))
        tables.append(TextTable(f"Superposition by layer{which}", columns, rows))
    return tables


def _roar_table(measured: Evaluation) -> TextTable:
    seeds = [run.seed for run in measured.roar[0].runs]
    rows = []
    for one in measured.roar:
        run = one.only_run
        rows.append(
            (
                f"{100 * one.k:g}",
                f"{100 * one.realised_share:.1f}",
                _number(one.accuracy_original),
                _number(one.accuracy_random),
                _number(one.accuracy_top),
                with_se(one.roar, None if run is None else run.roar_se),
                f"{one.roar_low:.2f} to {one.roar_high:.2f}"
                if run is None
                else f"{run.mcnemar_p:.1g}",
            )
        )
    last = ">p" if len(seeds) == 1 else ">95 % interval"
    return TextTable(
        f"ROAR by capacity at {measured.capacity_layer}, "
        f"{f'seed {seeds[0]}' if len(seeds) == 1 else f'{len(seeds)} seeds'}; points",
        (">k %", ">deleted %", ">original", ">random", ">top ↓", ">ROAR ↑", last),
        rows,
    )


def _number(value: float | None, decimals: int = 2) -> str:
    return "" if value is None else f"{value:.{decimals}f}"
