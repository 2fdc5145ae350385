"""Cross-validation: out-of-fold predictions of every row, and metrics over the folds."""
