#!/usr/bin/env python
import os
import sys


def use_running_demo() -> None:
    """Without DATABASE_URL and REDIS_URL, a command works on the demo that runs on PORT, if one does."""
    from empathy_dash import demo, embedded

    if embedded.configured("DATABASE_URL"):
        return
    port = embedded.configured("PORT") or "8000"
    if port.isdigit() and (urls := embedded.running(demo.state_dir(int(port)))):
        os.environ["DATABASE_URL"] = urls.database
        os.environ.setdefault("REDIS_URL", urls.redis)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "empathy_dash.settings")
    use_running_demo()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
