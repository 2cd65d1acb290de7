# What is frozen into the image of a device on an ESP32, on top of the port's own modules. The device is the build's
# option `device`: FROZEN_MANIFEST is a file with `include("…/manifest.py", device="rf_tag")`.
# ruff: noqa: F821  the port's build defines these names
options.defaults(device="gps_tag")
include("$(PORT_DIR)/boards/manifest.py")
package(
    "boards",
    base_path=".",
    files=("__init__.py", "esp32.py", "esp32_pins.py", "esp32_radio.py", "esp32_skin.py", "lis2dh12.py"),
)
freeze("lib")
freeze(options.device)
