"""A program that speaks SNID's output format, written as an executable by the tests; its failures too.

Only the format is SNID's (Fortran edit descriptors of its version 5); of the spectrum it counts the rows.
"""

import stat
import sys
from pathlib import Path

HEAD = """\
### SNID output file ###

### input spectrum and options ###
# Input spectrum                 : spectrum.dat
# Wavelength range               :    4000.00   9500.00
# rlapmin                        :       4.00

### initial/user-input redshift ###
zinit       0.0500
zuser       0.0500

### median redshift/age and error ###
zmed        0.0512    0.0031
agem          2.10      4.25

### type fraction/redshift/age ###
#type ntemp fraction slope redshift redshift_error age age_error
Ia             36      0.90    0.0500    0.0512    0.0031     2.100     4.250
Ia-norm        30      0.75    0.0500    0.0512    0.0031     2.100     4.250
###
Ib              0      0.00    0.0000    0.0000    0.0000     0.000     0.000
###
Ic              4      0.10    0.0000    0.0700    0.0100    -3.000     1.000
###
II              0      0.00    0.0000    0.0000    0.0000     0.000     0.000
###
NotSN           0      0.00    0.0000    0.0000    0.0000     0.000     0.000

### rlap-ordered template listings ###
#no. sn type lap rlap z zerr age age_flag grade
"""


def row(number, template, label, rlap, z, *, zerr=0.004, age=0.0, grade="good"):
    """A line as Fortran writes it: (i4,2x,a12,2x,a10,f7.4,f7.2,2(f9.4),f9.2,i3,a7)."""
    names = f"{number:4d}  {template:<12.12s}  {label:<10.10s}"
    return f"{names}{0.62:7.4f}{rlap:7.2f}{z:9.4f}{zerr:9.4f}{age:9.2f}{0:3d}   {grade}"


IA = [
    row(1, "sn2003cg", "Ia-norm", 14.3, 0.0509, age=-2.3),
    row(2, "sn2002er", "Ia-norm", 13.1, 0.0521, age=-1.0),
    row(3, "sn2005cf", "Ia-norm", 12.7, 0.0505, age=0.5, grade="bad"),
    row(4, "sn1999aa", "Ia-91T", 11.9, 0.0530, age=1.4),
    row(5, "sn1994D", "Ia-norm", 11.2, 0.0498, age=-4.1),
    row(6, "sn2004aw", "Ic-norm", 6.1, 0.0700, age=-3.0),
    "#--- rlap cutoff",
    row(7, "sn1999em", "IIP", 3.2, 0.0100, age=20.0, grade="cut"),
]

CURVE = "# Template No.1: sn2003cg (Ia-norm; -2.30) ; z=0.0509 +/- 0.0040\n#redshifted_wavelength[A] flux[arbitraty]\n"
CURVE += "".join(f"   {4000 + 10 * n:.3f}   {1 + 0.2 * (n % 40) / 40:.6f}\n" for n in range(500))

BODY = """\
import os, signal, subprocess, sys, time
from pathlib import Path
here = Path(__file__).parent
(here / "arguments").write_text("\\n".join(sys.argv[1:]))
(here / "environment").write_text("\\n".join(os.environ))
(here / "pid").write_text(str(os.getpid()))
(here / "home").write_text(os.environ["HOME"])
stem = Path(sys.argv[-1]).stem
rows = [line.split() for line in Path(sys.argv[-1]).read_text().splitlines()]
assert len(rows) > 30 and all(len(one) == 2 for one in rows)
output = Path(stem + "_snid.output")
"""


def write_stand_in(folder: Path, does: str, *, rows=None, head: str = HEAD, curve: bool = True) -> Path:
    """Write the program.

    Parameters
    ----------
    does : str
        "answers", or how it fails: "nothing" (no file, as without a match), "crashes", "dies" (by a signal), "hangs"
        (with a child), "garbage", "cut".
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = head + "\n".join(IA if rows is None else rows) + "\n"
    acts = {
        "answers": f"output.write_text({text!r})\n"
        + (f"Path(stem + '_comp0001_snidflux.dat').write_text({CURVE!r})\n" if curve else ""),
        "nothing": "print(' No template meets the rlap cutoff')\n",
        "crashes": "print('PGPLOT: no device')\nsys.exit(3)\n",
        "dies": "os.kill(os.getpid(), signal.SIGSEGV)\n",
        "hangs": "child = subprocess.Popen(['sleep', '600'])\n"
        + "(here / 'child').write_text(str(child.pid))\ntime.sleep(600)\n",
        "garbage": "output.write_bytes(bytes(range(256)) * 50)\n",
        "cut": f"output.write_text({text[: text.index('### type')]!r})\n",
    }
    path = folder / "snid"
    path.write_text(f"#!{sys.executable}\n{BODY}{acts[does]}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
