"""The rules by which a study searches: fixed when it begins, so that every resume keeps to them."""

from __future__ import annotations

FIRST = 1
"""Rules of studies whose ledger names none. A control trial is ranked with nobody; rungs are
measured on a part of dev of a fixed size; only the grid runs a space's points; a draw may repeat an
earlier trial; TPE begins at random."""
RULES = 2
"""Rules of the studies that begin now. A control trial that reaches its end is a complete trial;
rungs are measured on all of dev, as far as that is cheap; a space's points come first under every
sampler; a draw that repeats an earlier trial is drawn again; TPE begins with a Sobol sequence."""
