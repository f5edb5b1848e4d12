"""What the tests on a GPU share; without one they are skipped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from safr_study.data import EncodedCorpus, encoded_corpus
from safr_study.settings import CorpusSpec


@pytest.fixture(scope="session")
def gpu() -> torch.device:
    """The first GPU."""
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    return torch.device("cuda")


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> EncodedCorpus:
    """The built-in corpus, in full."""
    return encoded_corpus(CorpusSpec(dataset="planted:redundant"), _folder(tmp_path_factory))


def _folder(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("corpora")
