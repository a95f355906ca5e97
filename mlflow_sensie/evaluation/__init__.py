"""From recipe, model and examples to a result: plan, sweep, findings."""
