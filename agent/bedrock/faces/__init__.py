"""Thin faces over the one road of `chat`: callbacks, the `Bedrock` object, and what later runtimes plug into."""
