"""Print a config with all that it inherits."""

import argparse

from mmseg_medical import apis, cli


def main(arguments: argparse.Namespace) -> None:
    print(apis.load_config(arguments.config, arguments.cfg_options).pretty_text)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    cli.add_common_arguments(parser)
    cli.run(parser, main)
