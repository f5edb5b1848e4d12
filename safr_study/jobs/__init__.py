"""Studies as jobs of a remote Ray cluster, through Ray's Jobs API."""

from safr_study.jobs.code import Code, shipped_code
from safr_study.jobs.job import Job, asked_by, find_job, follow, jobs_of, stop_job, submit_job, wait
from safr_study.jobs.server import JobServer, connect

__all__ = [
    "Code",
    "Job",
    "JobServer",
    "asked_by",
    "connect",
    "find_job",
    "follow",
    "jobs_of",
    "shipped_code",
    "stop_job",
    "submit_job",
    "wait",
]
