"""``python -m safr_study`` is ``safr-study``."""

import sys

if not sys.flags.safe_path:
    # The folder in which the user stands: nothing is imported from there.
    del sys.path[0]

from safr_study.cli.app import main

main()
