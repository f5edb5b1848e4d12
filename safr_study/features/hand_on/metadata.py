"""What an archive says of itself to other programs: RO-Crate of its files, Croissant of the data.

Neither holds any text of the data. Both are made from the ledger alone, so that the same study says
the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import safr_study
from safr_study.checkpoint.manifest import MANIFEST as MODEL_MANIFEST
from safr_study.checkpoint.manifest import MODEL, VOCABULARY, WEIGHTS
from safr_study.data import TOKENIZER, has_pairs
from safr_study.features.hand_on.archive import CRATE, DATA, LEDGER, MANIFEST, PAGE, Packed
from safr_study.ledger.hand_on import CHECKPOINTS
from safr_study.ledger.ledger import StudyFacts
from safr_study.records import StudyResult
from safr_study.settings import StudySpec
from safr_study.text import plural

SPLITS = ("train", "dev", "test")
_TYPES = {
    ".json": "application/json",
    ".html": "text/html",
    ".txt": "text/plain",
    ".journal": "application/x-ndjson",
    ".safetensors": "application/octet-stream",
}
_WHAT = {
    LEDGER: "Every trial and every run of a confirmation: an Optuna journal",
    PAGE: "The study as a page, made from its ledger alone",
    DATA: "What the data were, without any text of them",
    MANIFEST: "Version of this format",
}
_OF_MODEL = {
    WEIGHTS: "Weights of the model of",
    VOCABULARY: "Words of the model of",
    TOKENIZER: "Tokenizer of the model of",
    MODEL_MANIFEST: "Settings, scores and checksums of the model of",
}


def crate_of(
    result: StudyResult,
    spec: StudySpec,
    facts: StudyFacts,
    files: Mapping[str, Packed],
    moment: str,
) -> dict[str, Any]:
    """RO-Crate 1.1 metadata of an archive.

    Args:
        result: the study, ranked.
        spec: its settings.
        facts: of its beginning.
        files: all files of the archive but this one and the checksums.
        moment: of its last result, ISO 8601.
    """
    versions = facts.provenance.get("versions", {})
    libraries = [
        {"@id": f"#{name}", "@type": "SoftwareApplication", "name": name, "version": str(version)}
        for name, version in sorted(versions.items())
        if name != "safr-study"
    ]
    software = {
        "@id": "#safr-study",
        "@type": "SoftwareApplication",
        "name": "safr-study",
        "version": str(versions.get("safr-study", safr_study.__version__)),
        "softwareRequirements": [{"@id": one["@id"]} for one in libraries],
    }
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Study {spec.name}",
        "description": (
            f"A hyperparameter study of interpretable text classifiers on {result.dataset}: "
            f"{plural(len(result.trials), 'trial')}, objectives {', '.join(result.objectives)}, "
            f"{plural(len(result.front), 'trial')} on the front."
        ),
        "datePublished": moment,
        "license": {"@id": "#licence"},
        "hasPart": [{"@id": name} for name in sorted(files)],
        "mentions": [{"@id": "#search"}],
    }
    search = {
        "@id": "#search",
        "@type": "CreateAction",
        "name": f"Search of study {spec.name}",
        "endTime": moment,
        "instrument": [{"@id": "#safr-study"}],
        "object": [{"@id": DATA}],
        "result": [{"@id": LEDGER}],
    }
    about = {
        "@id": CRATE,
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }
    licence = {
        "@id": "#licence",
        "@type": "CreativeWork",
        "name": "Not stated",
        "description": "No licence is stated; ask whoever handed the study on.",
    }
    parts = [_file(name, files[name]) for name in sorted(files)]
    context = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "https://schema.org/sha256"}]
    graph = [about, root, *parts, search, software, *libraries, licence]
    return {"@context": context, "@graph": graph}


def _file(name: str, packed: Packed) -> dict[str, Any]:
    own = name.rpartition("/")[2]
    of = name.removeprefix(f"{CHECKPOINTS}/").partition(f"/{MODEL}/")[0]
    return {
        "@id": name,
        "@type": "File",
        "name": own,
        "description": _WHAT.get(name) or f"{_OF_MODEL[own]} {of}",
        "contentSize": str(packed.size),
        "sha256": packed.sha256,
        "encodingFormat": _TYPES[f".{own.rpartition('.')[2]}"],
    }


def croissant_of(spec: StudySpec, facts: StudyFacts) -> dict[str, Any]:
    """A fingerprint of the data after Croissant 1.0: name, sizes of the splits, digest, columns.

    It has no distribution: the data are not handed on.
    """
    corpus = spec.corpus
    columns = [
        ("text", corpus.text_column or "text", "sc:Text", "A text, or the first of a pair"),
        *([("second", corpus.second_column or "second", "sc:Text", "The second text of the pair")]
          if has_pairs(corpus) else []),
        ("label", corpus.label_column or "label", "sc:Text", "Its class"),
        *([("group", corpus.group_column, "sc:Text", "What texts that belong together share")]
          if corpus.group_column else []),
    ]  # fmt: skip
    sizes = {name: facts.corpus.get(f"examples_{name}") for name in SPLITS}
    return {
        "@context": {
            "@language": "en",
            "@vocab": "https://schema.org/",
            "sc": "https://schema.org/",
            "cr": "http://mlcommons.org/croissant/",
            "conformsTo": {"@id": "http://purl.org/dc/terms/conformsTo", "@type": "@id"},
            "recordSet": "cr:recordSet",
            "field": "cr:field",
            "data": {"@id": "cr:data", "@type": "@json"},
            "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
            "key": "cr:key",
        },
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": facts.slug,
        "alternateName": corpus.dataset,
        "description": "The data of a study, by their fingerprint; none of their texts is here.",
        "identifier": f"sha256:{facts.corpus_fingerprint}",
        "variableMeasured": {
            key: value
            for key, value in sorted(facts.corpus.items())
            if isinstance(value, int) and not key.startswith("examples_")
        },
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "splits",
                "name": "splits",
                "dataType": "cr:Split",
                "key": {"@id": "splits/name"},
                "field": [
                    _column("splits/name", "name", "sc:Text", "Name of the split"),
                    _column("splits/texts", "texts", "sc:Integer", "Number of its texts"),
                ],
                "data": [
                    {"splits/name": name, "splits/texts": count}
                    for name, count in sizes.items()
                    if count is not None
                ],
            },
            {
                "@type": "cr:RecordSet",
                "@id": "texts",
                "name": "texts",
                "description": "The columns that were read",
                "field": [
                    _column(f"texts/{role}", name, kind, what) for role, name, kind, what in columns
                ],
            },
        ],
    }


def _column(place: str, name: str, kind: str, what: str) -> dict[str, str]:
    return {
        "@type": "cr:Field",
        "@id": place,
        "name": name,
        "dataType": kind,
        "description": what,
    }
