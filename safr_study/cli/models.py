"""``models``, ``promote``, ``pull`` and ``sync``: what MLflow has of the studies."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from safr_study.cli import options, output
from safr_study.cli.options import option
from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.features.study_base.stores import open_stores
from safr_study.records import RegisteredModel
from safr_study.text import listed, plural

if TYPE_CHECKING:
    from safr_study.features.sync import Synced


def list_models(
    json: options.Json = False, home: options.Home = None, tracking_uri: options.Tracking = None
) -> None:
    """List the registered models, their versions and aliases.

    Example:

      safr-study models
    """
    from safr_study.features.models import registered_models

    stores = open_stores(home, tracking_uri=tracking_uri, reads=True)
    _show(registered_models(stores), as_json=json)


def promote(
    study: options.Study,
    rules: Annotated[
        list[str] | None,
        option(
            "Move the aliases only if this holds of the knee or compromise against the model that "
            "has the alias, as 'accuracy >= current - 1'; may be given again.",
            "--if",
            metavar="RULE",
        ),
    ] = None,
    confidence: Annotated[
        float, option("Of the intervals that rules are judged by.", min=0.5, max=0.999)
    ] = 0.95,
    split: Annotated[
        Literal["dev", "test"] | None,
        option("Texts to judge on; else test where the data have one."),
    ] = None,
    json: options.Json = False,
    home: options.Home = None,
    tracking_uri: options.Tracking = None,
    storage: options.Storage = None,
) -> None:
    """Register a study's front and move knee or compromise, best-accuracy and best-srs to it.

    A rule (--if) is judged on the same texts for both models: accuracy, srs@K or srs_excess@K, by
    the interval of the paired difference, the whole of which must be beyond the bound. What was
    found is the tag `gate` of the version.

    Exit codes: 0 promoted; 2 refused by a rule, or no such study; 4 the server does not answer.

    Examples:

      safr-study promote s1

      safr-study promote s1 --if 'accuracy >= current - 1' --if 'srs@30 > current'
    """
    from safr_study.features.promote import Gate, Rule, promote_study

    gate = None
    if rules:
        gate = Gate(tuple(map(Rule.parse, rules)), confidence, split)
    stores = open_stores(home, tracking_uri=tracking_uri, storage=storage, resumes=True)
    done = promote_study(study, stores, gate)
    found = done.verdict
    if json:
        judged = None if found is None else found.to_plain()
        output.print_json({"models": done.models} | ({} if gate is None else {"gate": judged}))
    else:
        _show(done.models, as_json=False)
        if gate is not None and found is not None:
            output.say(
                *(f"{'holds' if one.passed else 'fails'}  {one.sentence}" for one in found.judged)
            )
            if found.current is None:
                output.say(
                    *(
                        f"passed over  {rule.text}: no other model has the alias"
                        for rule in gate.rules
                        if rule.of_current
                    )
                )
    if found is not None and not found.passed:
        failed = [one.rule.text for one in found.judged if not one.passed]
        raise BadInput(
            "if",
            f"{study} is not promoted: {listed(failed)} {'does' if len(failed) == 1 else 'do'} not "
            f"hold on {found.texts:,} texts of "
            f"{found.split}; the aliases stay where they are",
        )


def _show(models: Sequence[RegisteredModel], *, as_json: bool) -> None:
    from safr_study.render.result_tables import models_table

    if as_json:
        output.print_json({"models": models})
    elif models:
        output.show(models_table(models))
    else:
        output.out().print("No model yet; a finished search registers its front.")


def pull(
    model: Annotated[
        str, typer.Argument(help="NAME, NAME@alias, NAME/version, or STUDY#TRIAL.", metavar="MODEL")
    ],
    to: Annotated[Path, option("A new or empty folder.", file_okay=False)],
    json: options.Json = False,
    home: options.Home = None,
    tracking_uri: options.Tracking = None,
    storage: options.Storage = None,
) -> None:
    """Download a registered model, or copy a trial's, its checksums verified.

    Examples:

      safr-study pull safr-sst2@knee --to model

      safr-study pull safr-sst2/3 --to model

      safr-study pull s1#7 --to model
    """
    from safr_study.features.study_base.stores import pull_model

    stores = open_stores(home, tracking_uri=tracking_uri, storage=storage, reads=True)
    folder = pull_model(model, to, stores)
    if json:
        output.print_json({"model": model, "folder": folder})
        return
    output.out().print(f"{model} is in {folder}")
    output.err().print(f"next: safr-study evaluate {folder}")


def sync(
    study: options.AnyStudy = None,
    json: options.Json = False,
    home: options.Home = None,
    tracking_uri: options.Tracking = None,
    storage: options.Storage = None,
) -> None:
    """Bring to MLflow what it lacks of a study: runs, metrics, files and models.

    All of it is made from the study's ledger, also when the process that ran the study is gone.
    What is there already is not written again. Without a name: every study of which MLflow lacks
    something. Without an address: where the study was tracked.

    Exit codes: 0 MLflow has everything; 2 no such study, or somebody runs it; 4 the server does not
    take it.

    Examples:

      safr-study sync s1

      safr-study sync --tracking-uri http://mlflow:5000
    """
    from safr_study.features.sync import sync_study, unsynced

    stores = open_stores(home, tracking_uri=tracking_uri, storage=storage, resumes=True)
    names = [study] if study is not None else unsynced(stores)
    synced = [sync_study(name, stores) for name in names]
    if json:
        output.print_json({"studies": synced})
    else:
        nothing = ["MLflow has everything of every study here."]
        output.say(*(map(_sentence, synced) if synced else nothing))
    missing = [one.missing for one in synced if one.missing is not None]
    if missing:
        again = shlex.join(["safr-study", "sync", *([study] if study else [])])
        raise ServiceUnreachable(f"{'; '.join(missing)}; try again: {again}")


def _sentence(synced: Synced) -> str:
    if synced.missing is not None:
        return f"Study {synced.study}: {synced.to} still lacks something of it."
    written = f"{synced.points} metric points written" if synced.points else "nothing was missing"
    count = len(synced.models)
    models = f"; its front is registered, {plural(count, 'model')}" if count else ""
    runs = f"all of its {synced.runs} runs are in {synced.to}"
    return f"Study {synced.study}: {runs}, {written}{models}."
