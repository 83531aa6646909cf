"""What the functions share: everything that knows Lambda and Powertools."""
