"""``python -m safr_study`` is ``safr-study``."""

from safr_study.cli.app import main

main()
