"""Models of each flavour through ``mlflow.models.evaluate``, and the helpers that all tests of the MLflow side use."""
