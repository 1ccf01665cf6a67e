"""How fast the adapter is beside bare boto3: `scripts/bench`, or `python -m tests.bench`; see docs/benchmarks.md."""
