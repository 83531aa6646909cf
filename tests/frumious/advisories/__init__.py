"""Tests of the room that reads the feed of advisories."""
