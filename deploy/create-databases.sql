-- Run once, by the PostgreSQL image, beside the database that it makes itself (the ledger).
-- Apart from each other: Optuna, MLflow and MLflow's users would migrate their tables over each other.
CREATE DATABASE mlflow;
CREATE DATABASE mlflow_users;
