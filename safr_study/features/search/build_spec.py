"""What a user asks for, as the settings of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safr_study.data import (
    canonical_dataset,
    canonical_encoder,
    column_fields,
    has_pairs,
    slugify,
    word_defaults,
)
from safr_study.errors import BadInput
from safr_study.settings import (
    CorpusSpec,
    Objective,
    Resources,
    SearchSpace,
    StudySpec,
    second_only,
)
from safr_study.settings.space_files import find_space
from safr_study.settings.study import parse_duration

FINE_TUNING = {"learning_rate": 2e-5, "warmup": 0.1, "decay": "linear"}
"""How an encoder is trained, where the space has nothing else."""
ENCODER_SIZES = {"embed_dim", "ffn_dim", "heads", "layers", "dropout"}
"""Settings that come from a pretrained encoder."""
OF_PAIRS = {"texts", "interaction_pairs"}
"""Settings that only a model of pairs of texts has."""

OF_ENCODERS = {"pooling", "word_vector", "train_encoder"}
"""Settings that mean nothing for a model from scratch."""


def study_spec(options: Mapping[str, Any]) -> StudySpec:
    """The settings of a study, checked, from what was asked for.

    Args:
        options: of ``search``, by the names of its parameters. ``space`` may be a space itself,
            ``time_budget`` a number of seconds; without ``study`` the name is made from the data
            set and the settings. Others than those of the settings are left alone.

    Raises:
        BadInput: an unknown objective, space or data set.
        BadInputs: values that cannot be, all at once.
    """

    def part(*names: str) -> dict[str, Any]:
        return {name: options[name] for name in names}

    budget = options["time_budget"]
    seconds = parse_duration(budget) if isinstance(budget, str) else budget
    names = options["objective"] or ["accuracy", f"srs@{options['k']:g}"]
    wanted = [Objective.named(name) for name in names]
    space = options["space"]
    found = space if isinstance(space, SearchSpace) else find_space(str(space))
    if options.get("start") is not None and options["sampler"] == "grid":
        raise BadInput("start", "a grid has an order of its own; leave it out, or --sampler grid")
    found = found.begun_at(options.get("start"))
    dataset = canonical_dataset(str(options["dataset"]))
    columns = column_fields(options["text_column"])
    pairs = has_pairs(CorpusSpec.parse({"dataset": dataset, **columns}, where="corpus"))
    _check_pairs(found, options, pairs=pairs)
    needs_vmask = any(objective.needs_vmask for objective in wanted)
    if needs_vmask:
        # A model without VMASK has no such number, so it could only fail.
        kept = tuple(one for one in found.baselines if one.values.get("vmask") is not False)
        found = found.model_copy(update={"baselines": kept})
    if pairs:
        baselines = (*found.baselines, second_only(vmask=needs_vmask))
        found = found.model_copy(update={"baselines": baselines})
    asked = part("cpus_per_trial", "gpus_per_trial", "max_concurrent")
    given = {name: value for name, value in asked.items() if value is not None}
    checked = Resources.parse(given, where="resources")
    # Part of the numbers, as it orders the sums: a trial computes with the cores that it has.
    threads = max(1, int(checked.cpus_per_trial))
    layer = options.get("capacity_layer")
    encoder = options["encoder"]
    # An encoder's own tokenizer splits punctuation off and knows what to do with case.
    words = word_defaults(dataset, encoder=encoder is not None)
    words |= {name: options[name] for name in words if options[name] is not None}
    train = part("epochs", "epoch_texts", "preset", "precision", "class_weights", "seed")
    train |= {"threads": threads}
    if encoder is None:
        _check_from_scratch(found)
    else:
        _check_encoder(found, options["preset"])
        words["encoder"] = canonical_encoder(str(encoder))
        train |= FINE_TUNING
    spec = StudySpec.parse(
        {
            "name": options["study"] or "unnamed",
            "corpus": {
                "dataset": dataset,
                **columns,
                **part("label_column", "group_column", "max_len", "train_limit", "dev_limit"),
                **part("allow_small", "allow_duplicates"),
                **words,
            },
            "space": found.model_dump(),
            "objectives": [objective.model_dump() for objective in wanted],
            **part("trials", "sampler", "seeds_per_trial", "warm_start", "epoch_budget", "seed"),
            "system_metrics": options.get("system_metrics", False),
            "scheduler": {"name": options["scheduler"]},
            "time_budget": seconds,
            "train": train,
            "evaluation": {
                "delete": options.get("delete") or "both",
                **({} if layer is None else {"capacity_layer": layer}),
            },
            "resources": given,
        }
    )
    if options["study"] is None:
        return spec.model_copy(update={"name": made_name(spec)})
    return spec


def made_name(spec: StudySpec) -> str:
    """Name of a study that nobody named: the same command finds it again.

    It is of the data set and a digest of the settings, the path of the data among them.
    """
    return f"{slugify(spec.corpus.dataset)[:48]}-{spec.identity()[:8]}"


def _check_from_scratch(space: SearchSpace) -> None:
    names = {*space.fixed, *space.parameters}
    found = sorted(OF_ENCODERS & names.union(*(one.values for one in space.baselines)))
    if found:
        raise BadInput(
            "space",
            f"it has {', '.join(found)}, which only a model over a pretrained encoder has; give "
            "--encoder, or take them out of the space",
        )


def _check_pairs(space: SearchSpace, options: Mapping[str, Any], *, pairs: bool) -> None:
    if not pairs and options.get("delete") not in (None, "both"):
        raise BadInput("delete", "there is one text; leave it out, or give --text-column twice")
    if pairs:
        if options["preset"] != "masked":
            raise BadInput("preset", "the authors' code has no pairs of texts; leave --preset out")
        return
    of_baselines = (name for baseline in space.baselines for name in baseline.values)
    of_pairs = sorted(OF_PAIRS & {*space.fixed, *space.parameters, *of_baselines})
    if of_pairs:
        raise BadInput(
            "space",
            f"it has {', '.join(of_pairs)}, for pairs of texts alone; take it out of the space, or "
            "give --text-column twice",
        )


def _check_encoder(space: SearchSpace, preset: str) -> None:
    if preset != "masked":
        raise BadInput("preset", "an encoder has its own way with padding; leave --preset out")
    names = {*space.fixed, *space.parameters}
    sizes = sorted(names & ENCODER_SIZES)
    if sizes:
        raise BadInput(
            "space",
            f"it has {', '.join(sizes)}, which the encoder decides; take them out of the space",
        )
