"""The wiring of ESP32 devices: GPIO numbers of an ESP32-S3. Which of them a device has, its class in `boards` says.

What wakes a tag from light sleep (strap, case, charger, motion_interrupt, tool, modem_ring) is on GPIO 0 to 21, which
the chip can watch while it sleeps; strap and case need pull-ups on the board, for the chip's own may be off then.
"""

PINS = {
    "gnss_rx": 18,  # UART 1: what the receiver says
    "gnss_tx": 17,
    "modem_rx": 6,  # UART 2: what the modem says
    "modem_tx": 5,
    "console_rx": 44,  # UART 0, on contacts of the case: what an officer's tool says
    "console_tx": 43,
    "tool": 3,  # pulled down; a tool that is connected pulls it high, which wakes a tag and keeps it from light sleep
    "modem_dtr": 7,  # low keeps the modem awake, high lets it sleep between its radio windows
    "modem_ring": 12,  # of a worn tag: the modem pulls it low when it has something to say
    "modem_power_key": 4,  # high for 600 ms switches the modem on
    "gnss_enable": 16,  # low takes the receiver's power; its backup supply stays, so that it is soon back
    "strap": 10,  # a loop through the strap to ground, pulled up: high is open
    "case": 11,  # a switch to ground that the closed case presses, pulled up: high is open
    "mains": 12,  # of a home unit: low while the mains adapter gives power, pulled up
    "moved": 13,  # of a home unit: its accelerometer drives this high for 5 s and more when it is moved
    "battery_adc": 1,  # through a divider of two equal resistors
    "charger": 15,  # the charger's supply through a divider: high is plugged in
    "motion_sda": 8,  # I2C bus 0, of a worn tag: its accelerometer
    "motion_scl": 9,
    "motion_interrupt": 21,  # high from a movement until it is cleared
    "fuel_cell_adc": 2,  # of an alcohol tag: its three channels, each 0 to 3 V
    "infrared_adc": 8,
    "skin_temperature_adc": 9,
    "skin_power": 38,  # high gives power to their amplifiers and to the infrared light
    "vibration_motor": 14,  # through a transistor: high is on
}
