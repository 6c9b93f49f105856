"""What holds for every test: nobody's own configuration reaches Vedette through the environment."""

import os

for _name in [name for name in os.environ if name.startswith("VEDETTE_")]:
    del os.environ[_name]
