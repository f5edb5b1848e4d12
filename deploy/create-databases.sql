-- Run once, by the PostgreSQL image, beside the database that it makes itself (the ledger).
-- Apart from the ledger: Optuna and MLflow would migrate their tables over each other.
CREATE DATABASE mlflow;
