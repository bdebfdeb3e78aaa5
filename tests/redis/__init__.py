"""What only a real Redis can show."""
