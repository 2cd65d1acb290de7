"""The wiring of ESP32 devices: GPIO numbers of an ESP32-S3. Which of them a device has, its class in `boards` says."""

PINS = {
    "gnss_rx": 18,
    "gnss_tx": 17,
    "modem_rx": 6,
    "modem_tx": 5,
    "modem_dtr": 7,  # low keeps the modem awake, high lets it sleep between its radio windows
    "modem_power_key": 4,
    "gnss_enable": 16,  # low takes the receiver's power; its backup supply stays, so that it is soon back
    "strap": 10,  # a loop through the strap to ground, pulled up: high is open
    "case": 11,  # a switch to ground that the closed case presses, pulled up: high is open
    "mains": 12,  # of a home unit: low while the mains adapter gives power, pulled up
    "moved": 13,  # of a home unit: its accelerometer drives this high for 5 s and more when it is moved
    "battery_adc": 1,  # through a divider of two equal resistors
    "charger": 15,  # the charger's supply through a divider: high is plugged in
    "motion_sda": 8,  # of a GPS tag: its accelerometer
    "motion_scl": 9,
    "motion_interrupt": 21,  # high from a movement until it is cleared
    "vibration_motor": 14,  # through a transistor: high is on
}
