from __future__ import annotations

from pathlib import Path

from synthetic_study import complete_trial, ranked_study, study_spec

from safr_study.figures import front_figure
from safr_study.report.front_page import front_page


def test_every_mark_says_its_trial_and_the_page_loads_nothing(tmp_path: Path) -> None:
    best, rest = complete_trial(3, 80.0, 10.0), complete_trial(7, 70.0, 5.0)
    result = ranked_study(study_spec(name="a"), [[best], [rest]], knee=3)
    front_figure(result, tmp_path / "front.svg")
    page = front_page(result, (tmp_path / "front.svg").read_text(encoding="utf-8"))
    assert page.count("<title>trial ") == 2
    knee = page.partition("<title>trial 3: ")[2].partition("</title>")[0].splitlines()
    assert knee == [best.label, "accuracy 80.00", "SRS(30) 10.00", "on the front, knee",
                    "2 epochs, seed 7"]  # fmt: skip
    assert "front 1" in page.partition("<title>trial 7: ")[2].partition("</title>")[0]
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "src=" not in page
