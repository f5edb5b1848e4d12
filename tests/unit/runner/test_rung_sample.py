from __future__ import annotations

from safr_study.runner.rungs import LEAST, affordable_texts
from safr_study.settings import wanted


def test_all_of_dev_is_measured_where_it_is_cheap_and_a_part_where_it_is_dear() -> None:
    # IMDB: 5,000 dev texts of 230 tokens, 20,000 training texts; the first rung after 2 epochs.
    # A tenth of 2 epochs are 40,000 x 3 / 10 = 12,000 passes of a text.
    tokens, trained = 5_000 * 230.0, 2 * 20_000 * 230.0
    assert affordable_texts(5_000, tokens, trained, 2) == 5_000
    assert affordable_texts(5_000, tokens, trained, 8) == 1_500
    assert affordable_texts(5_000, tokens, trained, 100) == LEAST
    assert affordable_texts(200, 200 * 230.0, 230.0, 100) == 200


def test_passes_are_counted_by_what_is_measured() -> None:
    assert wanted(["accuracy", "srs@30"]).passes(5) == 2
    assert wanted(["accuracy", "srs_excess@30", "sufficiency@10"]).passes(5) == 1 + 2 * 7
