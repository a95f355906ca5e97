"""The result for people: one HTML page, sentences in plain words, a table."""
