# What is frozen into the image of a GPS tag on an ESP32, on top of the port's own modules.
# ruff: noqa: F821  the port's build defines these names
include("$(PORT_DIR)/boards/manifest.py")
package("boards", base_path=".", files=("__init__.py", "esp32.py", "esp32_pins.py"))
freeze("lib")
freeze("gps_tag")
