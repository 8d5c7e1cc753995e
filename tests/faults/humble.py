"""The service for a small detector as an ordinary user would run it: root gives up its right to read everything."""

import ctypes
import os
import sys

PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2

if __name__ == "__main__":
    if os.geteuid() == 0:
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            if ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
                sys.exit(f"capability {capability} cannot be dropped: {os.strerror(ctypes.get_errno())}")
    # what was dropped is gone after exec
    os.execv(sys.executable, [sys.executable, "-m", "night.small", *sys.argv[1:]])
