"""What the mirror stores, against what its pages name: find damage, and repair it."""
