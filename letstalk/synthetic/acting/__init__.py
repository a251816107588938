"""How they move: mouth shapes in time, head, eyes, moods and rest, as a `Performance` that anyone can play."""
