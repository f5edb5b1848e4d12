"""A study's result for people and programs: tables, CSV, JSON."""

from safr_study.report.tables import result_json, result_table, write_csv

__all__ = ["result_json", "result_table", "write_csv"]
