"""Namespace of the Bedrock adapter; `agent.bedrock` is the product, `agent.bedrock_adapter` its drop-in face."""
