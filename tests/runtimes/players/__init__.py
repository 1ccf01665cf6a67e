"""A player per runtime: the lines that its users write, and nothing else. `stage` says what a player has to do."""
