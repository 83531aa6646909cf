"""What changed becomes a plan, and the plan becomes jobs."""
