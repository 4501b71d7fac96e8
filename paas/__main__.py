"""python -m paas."""

from paas.cli import main

if __name__ == "__main__":
    main()
