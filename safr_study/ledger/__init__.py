"""The ledger, the only truth about a study: an Optuna study in a journal file or database."""
