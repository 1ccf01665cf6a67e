"""Run any agent loop that speaks OpenAI chat completions on Amazon Bedrock."""
