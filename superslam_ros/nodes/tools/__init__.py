"""Executables beside the nodes: play and record bags, the demo, the generated reference pages."""
