"""`python app.py` opens the studio. Until the studio exists it runs what there is of the main job: the demo."""

from letstalk.cli import main

if __name__ == "__main__":
    main(["demo", "--out", "out"])
