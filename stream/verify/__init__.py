"""Parity of a bundle's variants with the stored reference logits."""
