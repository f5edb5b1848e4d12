"""Trained models and running trainings on disk: safetensors, JSON and a word list; no pickle."""
