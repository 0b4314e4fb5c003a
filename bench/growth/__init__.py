"""What a request costs when much is stored, and over several processes."""
