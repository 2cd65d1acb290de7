"""What the board runs after power on."""

import unit

unit.run()
