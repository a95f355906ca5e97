"""The examples: where data comes from, in which form a model takes it, and what must be known of all of it."""
