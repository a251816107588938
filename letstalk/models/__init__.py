"""Networks. Their modules never move: saved pipelines remember these paths."""
