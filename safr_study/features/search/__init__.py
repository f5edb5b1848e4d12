"""Search: run a study, watch it, stop it, publish it."""
