"""Reading and writing of sound, pictures and video, and finding the face. Everything foreign enters and leaves here."""
