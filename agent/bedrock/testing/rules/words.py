"""Phrases that the service uses again and again."""

from __future__ import annotations


def from_model(error: str) -> str:
    """What the model behind the service said (recorded 2025)."""
    return f"The model returned the following errors: {error}"


def malformed(error: str) -> str:
    """What Amazon's own models say of a request that they cannot read (recorded 2025)."""
    return from_model(f"Malformed input request: {error}, please reformat your input and try again.")


def no_such_field(field: str) -> str:
    """A field that the model does not have (recorded 2025: `s3Uri`)."""
    return f"This model doesn't support the {field} field. Remove {field} and try again."


def no_such_block(kind: str) -> str:
    """A kind of content block that the model does not take (recorded 2025: `video`)."""
    return f"This model doesn't support the {kind} content block that you provided. Update the content block and try again."
