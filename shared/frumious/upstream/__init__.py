"""What upstream says: its serial, what changed, the root index, project pages, file bytes."""
