"""sedmd: the automation daemon and reduction pipeline of the SED Machine."""

__version__ = "0.1.0"
