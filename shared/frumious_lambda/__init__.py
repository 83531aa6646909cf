"""What every one of the functions sets up once."""
