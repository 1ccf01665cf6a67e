"""The fault matrix: everything that can go wrong with a call, and what has to come of it.

`cases` says what goes wrong and how the call may end, `judge` has it happen to the adapter over real boto3 and watches,
`python -m workshop.faults` runs all of it and prints a table; `tests/wire/test_fault_matrix.py` runs a sample.
"""
