"""Export of a trained classifier to a bundle, with parity checks against PyTorch."""
