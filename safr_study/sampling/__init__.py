"""Which settings a study tries, and which trials it ends early: Optuna's samplers and MO-ASHA."""
