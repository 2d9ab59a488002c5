"""What a user types: one module per command, and what they have in common."""
