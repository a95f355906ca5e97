"""Predictions and targets → scores, and the table of them."""
