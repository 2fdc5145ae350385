"""The network: its heads, its losses, and how it is trained."""
