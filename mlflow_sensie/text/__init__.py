"""Findings in words, of a result and of a comparison."""
