"""A mirror is carried to another one: as signed bundles over an air gap, or directly."""
