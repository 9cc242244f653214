"""Artefacts, their graph and their store: what runs stages, and knows none of them."""
