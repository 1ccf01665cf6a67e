"""What the project's own people run: environments, checks, tests, the demo; none of it ships in the wheel."""
