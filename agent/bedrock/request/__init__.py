"""OpenAI chat completions -> Converse. Pure: no AWS, no network, no environment, no clock."""
