"""Trainings spread over Ray workers: what a worker is given, what it does, what becomes of it."""
