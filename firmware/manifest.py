# What is frozen into the image of a GPS tag on an ESP32, on top of the port's own modules.
include("$(PORT_DIR)/boards/manifest.py")  # noqa: F821
package("boards", base_path=".", files=("__init__.py", "esp32.py"))  # noqa: F821
for folder in ("lib", "gps_tag"):
    module_files = {
        "lib": (
            "cbor clock config conversation counters envelope folder journal link mqtt records segments".split()
        ),
        "gps_tag": "fix main nmea nmea_fields sampler".split(),
    }[folder]
    for name in module_files:
        module(name + ".py", base_path=folder)  # noqa: F821
