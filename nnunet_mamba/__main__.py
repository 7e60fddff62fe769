"""``python -m nnunet_mamba`` is the command ``nnunet-mamba``."""

import sys


def main() -> None:
    """Run the command."""
    try:
        from nnunet_mamba.cli.main import app

        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
