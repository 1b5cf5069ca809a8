"""`zhiyin --help`: says something of every command, also of those that other parts bring."""

from click.testing import CliRunner

from web.cli import main


def test_help_says_where_to_read_on_about_commands_of_other_parts() -> None:
    told = CliRunner().invoke(main, ["--help"]).output

    for name in ("bench", "demo", "sandbox"):
        assert f"See `zhiyin {name} --help`." in told
