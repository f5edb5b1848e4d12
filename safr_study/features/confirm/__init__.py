"""Confirm: retrain a study's front under new seeds, and say what of it holds."""
