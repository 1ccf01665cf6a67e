"""Converse -> OpenAI, pure: answers and stream events in, one event vocabulary, one accumulator, completions out."""
