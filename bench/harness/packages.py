"""Installs the Debian packages that the benchmark needs, and only those that are missing."""

import os
import shutil
import subprocess

INSTALL_TIMEOUT_S = 600


def require(is_present, package, why):
    """True when `is_present()` holds, if need be after the package has been installed."""
    if is_present():
        return True
    prefix = privileges()
    if prefix is None or shutil.which("apt-get") is None:
        print(f"bench: {package} is missing ({why}) and cannot be installed from here")
        return False
    print(f"bench: installing the Debian package {package}: {why}", flush=True)
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for arguments in (["update", "-qq"], ["install", "-qq", "-y", package]):
        command = prefix + ["apt-get"] + arguments
        if not succeeds(command, environment):
            break
    return is_present()


def privileges():
    """What to put before a command that needs root; None when there is no way to become root."""
    if os.geteuid() == 0:
        return []
    # Without -n a benchmark would stop in the middle and ask for a password.
    if shutil.which("sudo") and succeeds(["sudo", "-n", "true"], os.environ):
        return ["sudo", "-n"]
    return None


def succeeds(command, environment):
    try:
        result = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=INSTALL_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0
