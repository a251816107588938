"""`python -m letstalk` is the `letstalk` command."""

from letstalk.cli import main

if __name__ == "__main__":
    main()
