"""The classifier: tokenisation, heads, losses and training."""
