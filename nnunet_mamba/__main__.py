"""``python -m nnunet_mamba`` and the script ``nnunet-mamba``."""

import signal
import sys
import threading


def main() -> None:
    """Run the command."""
    # An interruption amid the imports would be a traceback of somebody else's file: let it end the process at once.
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_default and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from nnunet_mamba.cli.main import app

    if is_default and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
