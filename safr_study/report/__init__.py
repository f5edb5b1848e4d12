"""A study's result for people and programs: tables, CSV, JSON."""

from safr_study.report.rungs import result_rungs, rung_lines, rung_reports, rung_rows
from safr_study.report.tables import (
    infeasible_lines,
    result_json,
    result_table,
    seed_half_widths,
    write_csv,
)

__all__ = [
    "infeasible_lines",
    "result_json",
    "result_rungs",
    "result_table",
    "rung_lines",
    "rung_reports",
    "rung_rows",
    "seed_half_widths",
    "write_csv",
]
