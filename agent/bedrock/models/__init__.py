"""Facts about models: what an id says, and what the family behind it accepts. Nothing here imports anything of the house."""
