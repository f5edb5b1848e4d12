"""Every error that a user may meet: one sentence, and the exit code of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from safr_study.redaction import redacted

MOST_CHARACTERS = 600
"""Characters of a sentence: a name may be as long as its giver likes."""


class SafrError(Exception):
    """Base of all expected errors; ``str(error)`` is the sentence shown to the user.

    It may quote what the user gave: secrets are taken out here, whoever shows or keeps it.
    """

    exit_code = 1

    def __init__(self, sentence: str) -> None:
        super().__init__(redacted(sentence))


class BadInput(SafrError):
    """Wrong use or bad input: which field, what is wrong, and what to do about it."""

    exit_code = 2

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = redacted(problem)
        super().__init__(f"{field}: {self.problem}")


class BadInputs(SafrError):
    """Several faults of one input, shown all at once, one line each."""

    exit_code = 2

    def __init__(self, faults: Sequence[BadInput]) -> None:
        super().__init__("\nerror: ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class StudyIncomplete(SafrError):
    """The study ended with fewer good trials than asked."""

    exit_code = 3


class ServiceUnreachable(SafrError):
    """A service (hub, tracking server, ledger, cluster) gave no answer."""

    exit_code = 4


class LockLost(ServiceUnreachable):
    """The lock of a study is no longer this driver's: another one may write now."""

    def __init__(self, title: str) -> None:
        super().__init__(
            f"storage: the lock of {title} was lost, as its session in the database ended; nothing "
            "was written since, and the same command goes on from there"
        )


class StudyInterrupted(SafrError):
    """The user stopped the study; the same command goes on with it."""

    exit_code = 130

    def __init__(self, sentence: str, *, requested: bool = False) -> None:
        super().__init__(sentence)
        self.requested = requested
        """Whether ``safr-study stop`` did it, and not a signal where it ran."""


def ended_how(*, requested: bool) -> str:
    """What ended a study before its time, for its sentence."""
    return "was ended by safr-study stop" if requested else "was interrupted"


EXPECTED_CODES = tuple(
    kind.exit_code for kind in (BadInput, StudyIncomplete, ServiceUnreachable, StudyInterrupted)
)
"""Exit codes of safr-study other than 0 and 1, its own fault."""


class TrialFailure(SafrError):
    """One trial cannot go on (a non-finite loss, say); the study does."""


class CorruptCheckpoint(BadInput):
    """A checkpoint's files do not match its checksums or its schema."""


class Notice(UserWarning):
    """Something that went less well than asked, in a sentence for users."""


def one_line(sentence: str) -> str:
    """A sentence as a terminal may show it, whatever names and values are quoted in it.

    White space becomes single spaces; other control characters, which could move the cursor or
    hide a word, are written as in Python; what is too long loses its middle.
    """
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(sentence.split()))
    if len(text) <= MOST_CHARACTERS:
        return text
    end = MOST_CHARACTERS // 3
    return f"{text[: MOST_CHARACTERS - end - 5]} ... {text[-end:]}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: what it may have been meant for, if anything."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
