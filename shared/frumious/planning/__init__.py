"""Find what changed, plan it, and send the plan as jobs."""
