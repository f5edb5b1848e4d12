"""MLflow: runs while a study runs, the registry of its front, the page to look at them.

Here are MLflow's process-wide settings, which it reads while it is imported: a package is imported
before its modules.
"""

from __future__ import annotations

import logging
import os

_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # "View run ... at" lines: standard output is for results.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow's own values (120 s, 7 retries) would hold a study for minutes at a dead server. None
    # of its retries is wanted: it sends a request whose answer is late once more, and a run that
    # is asked for twice is made twice. The background writer looks first, and then tries again.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    # A model's requirements are its own, not those of a project in the folder that it is made in.
    "MLFLOW_UV_AUTO_DETECT": "false",
    # Only the server's new Job and GenAI features need these processes.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # A server with artifacts in S3 offers clients to fetch them there themselves; they may have no
    # way to the store, and need none.
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
}

for _name, _value in _DEFAULTS.items():
    os.environ.setdefault(_name, _value)

# Failed requests reach the user as a sentence; urllib3 would add a line for each of its retries.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
logging.getLogger("alembic").setLevel(logging.WARNING)
# Where mlflow was imported before this, it has read its level already.
logging.getLogger("mlflow").setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
