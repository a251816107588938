"""How they are seen: light, camera, rasteriser, styles, and the labels that only a renderer can give."""
