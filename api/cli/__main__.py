"""`python -m api.cli`: the same as the installed command `revshare`; this is how `up` starts each part."""

from api.cli import main

if __name__ == "__main__":
    main()
