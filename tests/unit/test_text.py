"""Small pieces of text: errors in a line, numbers for people."""

from __future__ import annotations

import pytest

from safr_study import text

SECRET = "s3cr3t-Xy9"


def test_an_error_is_told_by_its_first_line() -> None:
    assert text.first_line(ValueError("\n it broke \n and more")) == "it broke"
    assert text.first_line(ValueError()) == "ValueError"
    assert len(text.first_line(ValueError("x" * 1000))) == 300
    assert text.summary(ValueError(" it broke\n  and more ")) == "it broke and more"
    assert SECRET not in text.summary(OSError(f"no\nhttp://u:{SECRET}@h"))
    assert SECRET not in text.first_line(OSError(f"http://u:{SECRET}@h"))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(1, "1 s"), (89.4, "89 s"), (90, "2 min"), (5399, "1 h 30 min"), (12000, "3 h 20 min")],
)
def test_a_time_for_people(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown
    assert text.about(seconds) == f"about {shown}"


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.99])
def test_less_than_a_second_is_not_nothing(seconds: float) -> None:
    assert text.duration(seconds) == text.about(seconds) == "under a second"


def test_numbers_with_their_nouns_and_units() -> None:
    assert [text.plural(n, "run") for n in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
    assert text.plural(2, "joins", "join") == "2 join"
    assert [text.size(n) for n in (999, 1000, 2_500_000, 3e12)] == [
        "999 B",
        "1 kB",
        "2 MB",
        "3.0 TB",
    ]
    assert text.unit_words("points") == "percentage points"
    assert text.unit_words("share", share="0 to 1") == "0 to 1"
