"""Results, comparisons and verdicts ↔ MLflow: runs, artifacts, tags, model versions."""
