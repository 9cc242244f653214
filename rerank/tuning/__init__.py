"""What is chosen on held-out images: CRF settings, diversity, the pool, rankers."""
