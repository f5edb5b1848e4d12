"""A worker of the shared Ray: a fork of a process that has imported all that a run needs.

Ray's own start of a worker imports Ray twice, and torch with the first run: seconds of a core.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fork_server import WORKER, ask
from shared_ray import SERVER

if __name__ == "__main__":
    command = (sys.argv, os.environ, Path.cwd(), 3600, [0, 1, 2])
    code = ask(os.environ[SERVER], None, *command, kind=WORKER)
    sys.exit(1 if code is None else abs(code))
