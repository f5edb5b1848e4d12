"""The study: Ray Tune runs the trials, Optuna chooses their settings and keeps the ledger.

Nothing is imported here, so that reading a space costs neither Ray nor Optuna.
"""
