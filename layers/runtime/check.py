"""Check mirror.conf like the functions, which could only crash: `make build` runs this."""  # noqa: INP001

import os
import re
import shutil
import sys
from pathlib import Path

from frumious.attestations.verifier import CannotVerify, read_trust_root
from frumious.config.loading import ConfigError
from frumious_lambda.configuration import read_configuration

DIFF_FILE = re.compile(r"^    DiffFile:\n(?: +#.*\n)*      Key: (\S+)$", re.MULTILINE)


def main() -> None:
    """Exit with the functions' error message if they cannot use mirror.conf.

    Its trust root is copied into the layer, whose folder is the first argument.
    """
    match = DIFF_FILE.search(Path("template.yaml").read_text(encoding="utf-8"))
    if match is None:
        sys.exit("template.yaml has no DiffFile in its Mappings")
    os.environ.clear()  # nothing of this machine, such as a proxy, counts in Lambda
    os.environ.update(FRUMIOUS_BUCKET="bucket-of-the-stack", FRUMIOUS_DIFF_FILE=match[1])
    try:
        config = read_configuration(Path("mirror.conf"))
        if config.attestations is not None:
            read_trust_root(config.attestations.trust_root)
            shutil.copy(config.attestations.trust_root, sys.argv[1])
    except (ConfigError, CannotVerify) as error:
        sys.exit(str(error))
    sys.stderr.writelines(f"{warning}\n" for warning in config.warnings)


main()
