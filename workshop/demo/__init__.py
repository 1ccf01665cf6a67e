"""The demo: an agent loop with three real tools on a real task in this repository."""
