"""The wiring of an ESP32 tag: GPIO numbers of an ESP32-S3."""

PINS = {
    "gnss_rx": 18,
    "gnss_tx": 17,
    "modem_rx": 6,
    "modem_tx": 5,
    "modem_dtr": 7,  # low keeps the modem awake, high lets it sleep between its radio windows
    "modem_power_key": 4,
    "strap": 10,  # a loop through the strap to ground, pulled up: high is open
    "battery_adc": 1,  # through a divider of two equal resistors
}
