"""The import path `jaxsde.jaxsde`."""
