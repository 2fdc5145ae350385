"""Hyper-parameter search: a study of trials with Optuna, and the training of its winner."""
